//! A real server, with real programs that play and record.
//!
//! cpal finds its server by the environment of its process. Each test therefore runs a second time, in a
//! process of its own that was started with it; the first looks at what that one leaves behind.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without has failed it")]

mod play;
mod worker;

use nearframe_sound::{Settings, Sound, SoundError};
use play::{Recorder, Tone, loudness, stereo_tone};
use std::path::Path;
use std::time::{Duration, Instant};
use worker::{Reader, alive, in_worker, signal, until};

#[test]
fn a_tone_comes_out_as_it_went_in_left_and_right_kept() {
    in_worker("a_tone_comes_out_as_it_went_in_left_and_right_kept", false, |mut sound, _| {
        let mut reader = Reader::new(sound.capture());
        let _player = Tone { left: 440.0, right: 1000.0, level: 0.5 }.play(&sound);
        let heard = reader.second_of_sound();
        let (left, right) = stereo_tone(&heard);
        for (name, side, at, not) in [("left", left, 440.0, 1000.0), ("right", right, 1000.0, 440.0)] {
            let (wanted, other) = (loudness(&side, at), loudness(&side, not));
            assert!((wanted - 0.5).abs() < 0.005, "{name}: {wanted} at {at} Hz");
            assert!(other < 0.002, "{name}: {other} at {not} Hz, which is the other side's");
        }
        assert_eq!(sound.state().restarts, 0);
    });
}

#[test]
fn silence_is_exact_zeros() {
    in_worker("silence_is_exact_zeros", false, |mut sound, _| {
        let mut reader = Reader::new(sound.capture());
        let player = Tone { left: 440.0, right: 440.0, level: 0.5 }.play(&sound);
        reader.second_of_sound();
        drop(player);
        let end = Instant::now() + Duration::from_secs(5);
        let mut silent = 0;
        while silent < 100 {
            assert!(Instant::now() < end, "it goes on sounding");
            let zeros = reader.block().iter().all(|sample| *sample == 0.0);
            silent = if zeros { silent + 1 } else { 0 };
        }
        // A program that plays silence is as silent as one that plays nothing.
        let _player = Tone { left: 440.0, right: 440.0, level: 0.0 }.play(&sound);
        for _ in 0..100 {
            assert!(reader.block().iter().all(|sample| *sample == 0.0));
        }
    });
}

#[test]
fn a_killed_server_is_started_again_behind_the_same_socket() {
    in_worker("a_killed_server_is_started_again_behind_the_same_socket", false, |mut sound, dir| {
        comes_back_after(&mut sound, dir, "KILL");
    });
}

#[test]
fn a_stalled_server_is_replaced() {
    in_worker("a_stalled_server_is_replaced", true, |mut sound, dir| {
        comes_back_after(&mut sound, dir, "STOP");
    });
}

#[test]
fn the_server_of_a_frozen_title_rests_and_goes_on() {
    in_worker("the_server_of_a_frozen_title_rests_and_goes_on", false, |mut sound, dir| {
        let pid = sound.server_pid().unwrap();
        worker::note(dir, pid);
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(')').next().unwrap().trim().chars().next().unwrap()
        };
        sound.set_paused(true);
        until(Duration::from_secs(20), "the server rests", || state() == 'T');
        // Longer than a server may be silent when nobody said so.
        std::thread::sleep(Duration::from_millis(2_300));
        assert_eq!((state(), sound.state().restarts), ('T', 0));
        sound.set_paused(false);
        until(Duration::from_secs(20), "the server goes on", || state() != 'T');
        let mut reader = Reader::new(sound.capture());
        let tone = Tone { left: 1000.0, right: 1000.0, level: 0.5 }.play(&sound);
        until(Duration::from_secs(20), "its sound is heard again", || {
            let (left, _) = stereo_tone(&reader.second_of_sound());
            loudness(&left, 1000.0) > 0.1
        });
        drop(tone);
        assert_eq!(sound.state().restarts, 0, "it was taken for stalled");
    });
}

fn comes_back_after(sound: &mut Sound, dir: &Path, fault: &str) {
    use std::os::unix::fs::MetadataExt;
    let inode = |sound: &Sound| sound.socket().metadata().unwrap().ino();
    let (socket, first) = (inode(sound), sound.server_pid().unwrap());
    let mut reader = Reader::new(sound.capture());
    let player = Tone { left: 440.0, right: 440.0, level: 0.5 }.play(sound);
    reader.second_of_sound();
    signal(first, fault);
    until(Duration::from_secs(10), "the server runs again", || {
        reader.block();
        sound.server_pid().is_some_and(|pid| pid != first) && sound.state().restarts > 0
    });
    // A read that waited for the server would have waited until it was found to be stalled.
    assert!(reader.slowest < Duration::from_millis(250), "a read took {:?}", reader.slowest);
    worker::note(dir, sound.server_pid().unwrap());
    assert!(!alive(first), "the old server is gone");
    assert_eq!(inode(sound), socket, "what is bound into a sandbox still leads to the server");
    drop(player);
    let _player = Tone { left: 440.0, right: 440.0, level: 0.5 }.play(sound);
    let heard = reader.second_of_sound();
    let level = loudness(&stereo_tone(&heard).0, 440.0);
    assert!((level - 0.5).abs() < 0.05, "{level}");
}

#[test]
fn a_voice_is_what_the_title_records_by_default() {
    in_worker("a_voice_is_what_the_title_records_by_default", true, |mut sound, _| {
        let mut reader = Reader::new(sound.capture());
        let mut microphone = sound.microphone().unwrap();
        assert!(sound.microphone().is_none(), "there is one");
        let recorder = Recorder::start(&sound);
        let start = Instant::now();
        let mut said = 0usize;
        // Packets of 20 ms, by the clock.
        while recorder.samples() < 3 * 48_000 {
            assert!(start.elapsed() < Duration::from_secs(20), "the title does not hear");
            while (said as f64) < start.elapsed().as_secs_f64() * 48_000.0 {
                let tone: Vec<f32> = (said..said + 960).map(|n| play::sine(700.0, n) * 0.25).collect();
                microphone.push(&tone);
                said += 960;
            }
            assert!(reader.block().iter().all(|sample| *sample == 0.0), "the player does not hear himself");
        }
        let heard = recorder.stop();
        let heard = &heard[2 * 48_000..3 * 48_000];
        // What waits too long at first is played half a per cent faster: the level is that of the whole sound.
        let power: f32 = heard.iter().map(|sample| sample * sample).sum();
        let level = (2.0 * power / heard.len() as f32).sqrt();
        assert!((level - 0.25).abs() < 0.01, "{level}");
        assert!(loudness(heard, 700.0) > 0.15, "another sound");
    });
}

#[test]
fn without_a_microphone_the_default_source_is_silent() {
    in_worker("without_a_microphone_the_default_source_is_silent", false, |mut sound, _| {
        assert!(sound.microphone().is_none());
        let mut reader = Reader::new(sound.capture());
        let _player = Tone { left: 440.0, right: 440.0, level: 0.5 }.play(&sound);
        reader.second_of_sound();
        let recorder = Recorder::start(&sound);
        until(Duration::from_secs(10), "a second is recorded", || recorder.samples() > 48_000);
        assert!(recorder.stop().iter().all(|sample| *sample == 0.0), "the title hears itself");
    });
}

#[test]
fn clients_need_the_cookie_and_load_no_modules() {
    in_worker("clients_need_the_cookie_and_load_no_modules", false, |sound, dir| {
        let wrong = dir.join("wrong");
        std::fs::write(&wrong, [7; 256]).unwrap();
        assert!(play::control(&sound, sound.cookie(), &["info"]).status.success());
        // PulseAudio lets its own user in without one. As root, the server has a user of its own.
        if rustix::process::geteuid().is_root() {
            assert!(!play::control(&sound, &wrong, &["info"]).status.success(), "any cookie opens");
        }
        let modules = || play::control(&sound, sound.cookie(), &["list", "short", "modules"]).stdout;
        let before = modules();
        assert!(!before.is_empty());
        // Some of these are refused, others are answered and ignored.
        for order in [&["load-module", "module-null-sink"][..], &["unload-module", "0"], &["exit"]] {
            play::control(&sound, sound.cookie(), order);
            assert_eq!(modules(), before, "{order:?} is obeyed");
        }
        std::fs::remove_file(wrong).unwrap();
    });
}

#[test]
fn the_server_has_no_rights_to_spare() {
    in_worker("the_server_has_no_rights_to_spare", false, |sound, _| {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", sound.server_pid().unwrap())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("Seccomp:"), ["2"]);
        let namespace = |pid: &str, what: &str| std::fs::read_link(format!("/proc/{pid}/ns/{what}")).unwrap();
        let pid = sound.server_pid().unwrap().to_string();
        for what in ["net", "pid", "mnt", "ipc", "uts", "user"] {
            assert_ne!(namespace(&pid, what), namespace("self", what), "{what}");
        }
        if rustix::process::geteuid().is_root() {
            assert_eq!(field("CapBnd:"), ["0000000000000000"]);
            assert!(field("Uid:").iter().all(|uid| uid != "0"), "it runs as root");
            assert!(field("Groups:").is_empty());
        }
    });
}

#[test]
fn a_crashed_owner_leaves_no_server() {
    in_worker("a_crashed_owner_leaves_no_server", true, |sound, _| {
        assert!(alive(sound.server_pid().unwrap()));
        worker::crash();
    });
}

#[test]
fn a_click_arrives_soon() {
    in_worker("a_click_arrives_soon", false, |mut sound, _| {
        let mut delays_ms = play::clicks(sound.capture(), 40);
        delays_ms.sort_by(f64::total_cmp);
        let at = |share: f64| delays_ms[((delays_ms.len() - 1) as f64 * share) as usize];
        eprintln!("written to read: p50 {:.1} ms, p95 {:.1} ms; {:?}", at(0.5), at(0.95), sound.state());
        // Not a speed: what a server with its usual buffers of two seconds would miss by far.
        assert!(at(0.5) < 150.0, "p50 {} ms", at(0.5));
    });
}

#[test]
fn a_process_without_the_environment_is_told_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { dir: dir.path().to_owned(), microphone: false };
    let error = Sound::start(settings).unwrap_err();
    assert!(matches!(&error, SoundError::Environment { name, .. } if name == "PULSE_SERVER"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
