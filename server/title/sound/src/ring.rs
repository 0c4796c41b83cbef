//! A bounded queue of samples between two threads. Neither end ever waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Samples as bits: an atomic float needs no lock and no `unsafe`.
#[derive(Debug)]
struct Shared {
    slots: Box<[AtomicU32]>,
    /// Samples ever read, and ever written. Their difference is what waits.
    read: AtomicUsize,
    written: AtomicUsize,
    /// Something did not fit; what waits is of the past.
    overflowed: AtomicBool,
}

/// The end that writes.
#[derive(Debug)]
pub(crate) struct Producer(Arc<Shared>);

/// The end that reads.
#[derive(Debug)]
pub(crate) struct Consumer(Arc<Shared>);

/// A queue for at least `samples`.
pub(crate) fn ring(samples: usize) -> (Producer, Consumer) {
    // A power of two keeps indices right when the counters wrap.
    let slots = (0..samples.next_power_of_two()).map(|_| AtomicU32::new(0)).collect();
    let shared = Arc::new(Shared {
        slots,
        read: AtomicUsize::new(0),
        written: AtomicUsize::new(0),
        overflowed: AtomicBool::new(false),
    });
    (Producer(Arc::clone(&shared)), Consumer(shared))
}

impl Producer {
    /// Appends all of `samples`, or none when they do not fit: half a frame would swap the channels.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        let shared = &*self.0;
        let written = shared.written.load(Ordering::Relaxed);
        let waiting = written.wrapping_sub(shared.read.load(Ordering::Acquire));
        if shared.slots.len() - waiting < samples.len() {
            shared.overflowed.store(true, Ordering::Release);
            return;
        }
        let mask = shared.slots.len() - 1;
        for (index, sample) in samples.iter().enumerate() {
            shared.slots[written.wrapping_add(index) & mask].store(sample.to_bits(), Ordering::Relaxed);
        }
        shared.written.store(written.wrapping_add(samples.len()), Ordering::Release);
    }
}

impl Consumer {
    /// Takes what waits, in order. `true` when sound was lost, in which case what waited is of the past
    /// and is dropped too.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(f32)) -> bool {
        let shared = &*self.0;
        let lost = shared.overflowed.swap(false, Ordering::Acquire);
        let written = shared.written.load(Ordering::Acquire);
        let mut read = shared.read.load(Ordering::Relaxed);
        let mask = shared.slots.len() - 1;
        while !lost && read != written {
            take(f32::from_bits(shared.slots[read & mask].load(Ordering::Relaxed)));
            read = read.wrapping_add(1);
        }
        shared.read.store(written, Ordering::Release);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::ring;

    #[test]
    fn samples_cross_threads_in_order_and_bit_exact() {
        let (mut producer, mut consumer) = ring(4096);
        let writer = std::thread::spawn(move || {
            for block in 0..1000u32 {
                producer.push(&[block as f32, -(block as f32)]);
                if block % 100 == 99 {
                    std::thread::yield_now();
                }
            }
        });
        let mut seen = Vec::new();
        while !writer.is_finished() {
            assert!(!consumer.drain(|sample| seen.push(sample)));
        }
        writer.join().unwrap();
        consumer.drain(|sample| seen.push(sample));
        let wanted: Vec<f32> = (0..1000).flat_map(|block| [block as f32, -(block as f32)]).collect();
        assert_eq!(seen, wanted);
    }

    #[test]
    fn what_does_not_fit_is_refused_whole_and_said_once() {
        let (mut producer, mut consumer) = ring(8);
        producer.push(&[1.0; 6]);
        producer.push(&[2.0; 4]);
        assert!(consumer.drain(|_| panic!("the past is dropped")));
        producer.push(&[3.0; 4]);
        let mut seen = Vec::new();
        assert!(!consumer.drain(|sample| seen.push(sample)));
        assert_eq!(seen, [3.0; 4]);
    }
}
