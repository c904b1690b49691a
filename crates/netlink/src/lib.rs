//! Kernel addresses, routes, rules and links over netlink: batches, dumps, monitors.
