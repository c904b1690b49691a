//! Comparison of secrets in a time that does not depend on where they differ.

use std::hint::black_box;

/// Whether `a` and `b` are equal. All bytes are always read.
pub(crate) fn equal<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let difference = a.iter().zip(b).fold(0, |acc, (x, y)| black_box(acc | (x ^ y)));
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn any_single_bit_matters() {
        let a = [0x5a_u8; 16];
        assert!(equal(&a, &a));
        for bit in 0..128 {
            let mut b = a;
            b[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal(&a, &b), "bit {bit}");
        }
    }
}
