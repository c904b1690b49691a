//! Kernel adapters other than netlink: raw sockets, timers, processes, limits, logging.
