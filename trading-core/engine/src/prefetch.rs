//! Asking for memory before it is needed. The one place of this crate that is `unsafe`.

/// Asks for the lines of the cache that hold `row`, and does not wait for them.
#[inline(always)]
#[allow(
    unsafe_code,
    reason = "the instruction has no other name on stable Rust; its proof stands below"
)]
pub(crate) fn prefetch<T>(row: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let first = std::ptr::from_ref(row).cast::<i8>();
        for line in 0..size_of::<T>().div_ceil(LINE) {
            // SAFETY: the instruction reads and writes nothing that the program can see, and by its
            // definition never faults, whatever the address (AMD64 Architecture Programmer's Manual,
            // volume 3, PREFETCHlevel). It needs SSE, which every x86-64 has. The addresses are made
            // with `wrapping_add`, which is sound for any, and lie within `row`, which is borrowed.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Asks for a row of a table; for none when there is no such row.
#[inline(always)]
pub(crate) fn prefetch_row<T>(rows: &[T], row: usize) {
    if let Some(row) = rows.get(row) {
        prefetch(row);
    }
}
