//! Memory that is needed for a moment, and much of it.

/// So much text, or as much of a model, is worth [`LargeSteps`]: its structures take some megabytes.
const LARGE: usize = 256 << 10;

/// How far the heap grows at a time.
#[cfg(target_env = "gnu")]
const STEP: libc::c_int = 32 << 20;

/// How far it grows otherwise: what glibc begins with.
#[cfg(target_env = "gnu")]
const ORDINARY_STEP: libc::c_int = 128 << 10;

/// While it lives the heap of the main thread grows in large steps. The kernel can then give it
/// huge pages instead of thousands of small ones, each with a page fault of its own. What was not
/// needed goes back with [`give_back`].
#[derive(Debug)]
pub struct LargeSteps(());

impl LargeSteps {
    /// Begins them, if what is to be read is so long that they pay.
    #[must_use]
    pub fn to_read(bytes: usize) -> Option<Self> {
        (bytes >= LARGE).then(|| {
            #[cfg(target_env = "gnu")]
            set_step(STEP);
            Self(())
        })
    }
}

impl Drop for LargeSteps {
    fn drop(&mut self) {
        #[cfg(target_env = "gnu")]
        set_step(ORDINARY_STEP);
    }
}

/// A step that is refused is as good as before.
#[cfg(target_env = "gnu")]
fn set_step(bytes: libc::c_int) {
    // SAFETY: no pointers; glibc takes its own locks.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, bytes);
    }
}

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
