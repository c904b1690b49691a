//! The heap grows in large steps while something large is read, and in small ones otherwise.

use std::fs;

use libtest_mimic::{Arguments, Trial};
use standfast_sys::memory::{LargeSteps, give_back};

fn main() {
    let arguments = Arguments::from_args();
    // Before there is any other thread, whose memory would come from elsewhere.
    let grown = cfg!(target_env = "gnu").then(|| {
        let small = LargeSteps::to_read(1000).is_none();
        let before = growth();
        let steps = LargeSteps::to_read(1 << 20);
        let meanwhile = growth();
        drop(steps);
        give_back();
        (small, before, meanwhile, growth())
    });
    let trial = Trial::test("steps_are_large_while_they_are_wanted", move || {
        let Some((small, before, meanwhile, after)) = grown else { return Ok(()) };
        let expected = small && before < 1 << 20 && meanwhile >= 16 << 20 && after < 1 << 20;
        let text = format!("{small}: {before}, {meanwhile}, {after} bytes");
        if expected { Ok(()) } else { Err(text.into()) }
    });
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// How far the heap grows when it must.
fn growth() -> u64 {
    let mut taken: Vec<Box<[u8]>> = Vec::with_capacity(1 << 16);
    let before = end_of_heap();
    while end_of_heap() == before && taken.len() < taken.capacity() {
        taken.push(vec![1; 1000].into());
    }
    end_of_heap() - before
}

fn end_of_heap() -> u64 {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc is there");
    let heap = maps.lines().find(|line| line.ends_with("[heap]"));
    let range = heap.and_then(|line| line.split(' ').next()?.split_once('-'));
    range.map_or(0, |(_, end)| u64::from_str_radix(end, 16).expect("a hexadecimal address"))
}
