//! Random clusters, random misfortunes, and what must be true all the same.
