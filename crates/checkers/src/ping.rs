//! `PING_CHECK`: ICMP echo.
