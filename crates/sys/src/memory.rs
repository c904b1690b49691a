//! Memory that was needed for a moment.

/// Hands memory that was freed back to the kernel. After a large configuration was read and its
/// model dropped, the allocator would otherwise keep for good what nobody needs again. Takes about
/// as long as touching that memory did; where the C library has no such function, nothing happens.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; glibc takes its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_in_use_is_untouched() {
        let kept = vec![7_u8; 1 << 20];
        drop(vec![1_u8; 1 << 20]);
        super::give_back();
        assert!(kept.iter().all(|byte| *byte == 7));
    }
}
