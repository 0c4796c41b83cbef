//! `nearframe doctor`: what this machine can do, and what to install for the rest.

use crate::data_dir::node_folder;
use crate::options::General;
use crate::say;
use anyhow::{Context, Result};
use nearframe_protocol::capability::{Capability, Missing};
use nearframe_protocol::uplink::Uplink;
use nearframe_server::capability::{Machine, known_uplink, measure};
use nearframe_server::encode::{NvencDevice, VideoBackend, VideoBackendFacts, VideoOptions, nvenc_devices};
use nearframe_server::gpu::{AdapterFacts, AdapterKind};
use nearframe_server::title::catalogue::missing_packages;
use nearframe_server::title::sandbox::{Held, layers};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

/// The port that `nearframe up` takes unless told otherwise.
const DOOR_PORT: u16 = 8600;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Works.
    Ok,
    /// Works, though not as well as it could.
    Limited,
    /// Does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// `gpu`, `encoder`, `audio`, `ports`, `sandbox` or `titles`.
    area: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    checks: Vec<Check>,
    /// What was measured, as a node of this machine would report it.
    capability: Capability,
}

/// Looks at the machine and prints what was found, as a table or as one JSON object.
pub(crate) fn print(general: &General, json: bool) -> Result<()> {
    let (machine, wrong) = look();
    let mut checks = gpu(&machine.adapters);
    checks.extend(wrong);
    checks.extend(encoders(&machine));
    checks.push(audio());
    checks.extend(ports());
    checks.extend(sandbox());
    checks.extend(titles());
    let capability =
        with_uplink(measure(&machine), node_folder(general).ok().and_then(|folder| known_uplink(&folder)));
    let report = Report { version: env!("CARGO_PKG_VERSION"), checks, capability };
    if json {
        say::line(&serde_json::to_string_pretty(&report).context("writing the report")?);
    } else {
        report.checks.iter().for_each(|check| say::line(&row(check)));
        measured(&report.capability).iter().for_each(|line| say::line(line));
    }
    Ok(())
}

/// The uplink can only be measured with somebody at its other end: a node of this machine did when it first linked.
fn with_uplink(mut capability: Capability, uplink: Option<Uplink>) -> Capability {
    if uplink.is_none() {
        let why = "it is measured when a node of this machine links to its matchmaker for the first time, without --slots";
        capability.missing.push(Missing { what: "uplink".to_owned(), why: why.to_owned() });
    }
    Capability { uplink, ..capability }
}

/// What was measured, a line each.
fn measured(capability: &Capability) -> Vec<String> {
    let line = |area: &str, found: String| format!("{area:<9} {:<8}  {found}", "measured");
    let ms = |us: u32| f64::from(us) / 1000.0;
    let mut lines = vec![line("sessions", format!("{} of 720p60 by processor time", capability.sessions))];
    lines.extend(capability.conversions.iter().map(|one| {
        let size = format!("{}×{}", one.width, one.height);
        line("convert", format!("{size} in {:.2} ms on {}", ms(one.frame_us), one.adapter))
    }));
    lines.extend(capability.encoders.iter().map(|one| {
        let what = format!("{} {} {}×{}", one.name, one.codec, one.width, one.height);
        line("encoder", format!("{what} in {:.2} ms a frame, {} at once", ms(one.frame_us), one.sessions))
    }));
    lines.extend(capability.uplink.map(|uplink| {
        let bound = if uplink.at_least { "at least " } else { "" };
        line("uplink", format!("{bound}{:.1} Mbit/s to the matchmaker", uplink.bps() as f64 / 1e6))
    }));
    lines.extend(
        capability.missing.iter().map(|lack| format!("{:<9} {:<8}  {}", lack.what, "missing", lack.why)),
    );
    lines
}

fn row(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Limited => "limited",
        Verdict::Missing => "missing",
    };
    let advice =
        check.advice.as_ref().map(|advice| format!("\n                    → {advice}")).unwrap_or_default();
    format!("{:<9} {verdict:<8}  {}{advice}", check.area, check.found)
}

fn ok(area: &'static str, found: impl Into<String>) -> Check {
    Check { area, verdict: Verdict::Ok, found: found.into(), advice: None }
}

fn troubled(area: &'static str, verdict: Verdict, found: impl Into<String>, advice: &str) -> Check {
    Check { area, verdict, found: found.into(), advice: Some(advice.to_owned()) }
}

fn gpu(found: &[AdapterFacts]) -> Vec<Check> {
    if found.is_empty() {
        let advice = "install mesa-vulkan-drivers (or the GPU vendor's driver); testcard plays without";
        return vec![troubled("gpu", Verdict::Missing, "no adapter", advice)];
    }
    let hardware = found.iter().any(|adapter| adapter.kind != AdapterKind::Software);
    found
        .iter()
        .map(|adapter| {
            let text = format!("{adapter}, {}", adapter.driver);
            if hardware {
                return ok("gpu", text);
            }
            let advice = "drawn by the CPU; where there is a GPU, install its vendor's Vulkan driver";
            troubled("gpu", Verdict::Limited, text, advice)
        })
        .collect()
}

/// What is there, and what is wrong with how it is to be used.
fn look() -> (Machine, Option<Check>) {
    match nearframe_server::encoders::from_environment() {
        Ok(video) => (Machine::look(&video), None),
        Err(why) => {
            let advice = "correct the variable, or unset it";
            let wrong = troubled("encoder", Verdict::Missing, format!("{why:#}"), advice);
            (Machine::look(&VideoOptions::default()), Some(wrong))
        }
    }
}

fn encoders(machine: &Machine) -> Vec<Check> {
    let works = machine.encoders.iter().any(|backend| backend.state.is_ok());
    let gpus = nvenc_devices(&machine.video.nvenc.libraries).unwrap_or_default();
    machine.encoders.iter().map(|backend| encoder(backend, works, &gpus)).collect()
}

/// `works`: some encoder does, so that one that is missing only costs speed.
fn encoder(backend: &VideoBackendFacts, works: bool, gpus: &[NvencDevice]) -> Check {
    match (&backend.state, backend.backend) {
        (Ok(can), VideoBackend::Nvenc) => {
            let busy = |gpu: &NvencDevice| {
                gpu.load.map(|load| format!(", {}% busy with {} sessions", load.percent, load.sessions))
            };
            let gpus: Vec<_> =
                gpus.iter().map(|gpu| format!("{}{}", gpu.name, busy(gpu).unwrap_or_default())).collect();
            ok("encoder", format!("{} ({}, on the GPU): {}", can.name, can.codec, gpus.join("; ")))
        }
        (Ok(can), VideoBackend::VulkanVideo) => {
            ok("encoder", format!("{} ({}, on the GPU)", can.name, can.codec))
        }
        (Ok(can), _) => ok("encoder", format!("{} ({}, on the CPU, built in)", can.name, can.codec)),
        (Err(why), VideoBackend::Nvenc | VideoBackend::VulkanVideo) => {
            let advice = match backend.backend {
                VideoBackend::Nvenc => "only on NVIDIA GPUs; the next encoder of this list is used instead",
                _ => {
                    "only on GPUs whose driver has Vulkan Video; the next encoder of this list is used instead"
                }
            };
            let verdict = if works { Verdict::Limited } else { Verdict::Missing };
            troubled("encoder", verdict, why, advice)
        }
        (Err(why), _) => {
            troubled("encoder", Verdict::Missing, why, "this encoder is built in: free memory, or report it")
        }
    }
}

fn audio() -> Check {
    let server = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("pulseaudio").is_file()));
    if server {
        return ok("audio", "Opus; programs play into a PulseAudio of their own, no sound card is needed");
    }
    troubled(
        "audio",
        Verdict::Limited,
        "Opus; no PulseAudio, so that programs are silent",
        "install pulseaudio",
    )
}

fn ports() -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(match TcpListener::bind((Ipv4Addr::LOCALHOST, DOOR_PORT)) {
        Ok(_) => ok("ports", format!("TCP {DOOR_PORT} on 127.0.0.1 is free for the door")),
        Err(error) => troubled(
            "ports",
            Verdict::Limited,
            format!("TCP {DOOR_PORT} on 127.0.0.1: {error}"),
            "choose another address with --listen ADDR:PORT",
        ),
    });
    let families: [(&str, IpAddr); 2] =
        [("IPv4", Ipv4Addr::LOCALHOST.into()), ("IPv6", Ipv6Addr::LOCALHOST.into())];
    for (family, address) in families {
        checks.push(match UdpSocket::bind((address, 0)) {
            Ok(_) => ok("ports", format!("UDP over {family} for media")),
            Err(error) => troubled(
                "ports",
                Verdict::Limited,
                format!("UDP over {family}: {error}"),
                "players reach this machine over the other IP version only",
            ),
        });
    }
    checks
}

/// Which layers of the sandbox hold here, found by trying them.
fn sandbox() -> Vec<Check> {
    let told = layers().into_iter().map(|layer| {
        let name = layer.name;
        let (verdict, found) = match layer.held {
            Held::Yes => return ok("sandbox", format!("{name} holds")),
            Held::Partly(how) => (Verdict::Limited, format!("{name} holds in part: {how}")),
            Held::No(why) => (Verdict::Missing, format!("{name} does not hold: {why}")),
        };
        Check { area: "sandbox", verdict, found, advice: layer.advice }
    });
    told.collect()
}

/// Titles in the catalogue whose programs the system lacks.
fn titles() -> Vec<Check> {
    let missing = missing_packages();
    if missing.is_empty() {
        return vec![ok("titles", "the programs of all titles that ship are there")];
    }
    let told = missing.into_iter().map(|(name, packages)| {
        let advice = format!("install {}", packages.join(" "));
        troubled(
            "titles",
            Verdict::Limited,
            format!("{name} cannot be offered: its program is missing"),
            &advice,
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let check = troubled("gpu", Verdict::Missing, "no adapter", "install mesa-vulkan-drivers");
        assert!(row(&check).contains("→ install mesa-vulkan-drivers"));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["verdict"], "missing");
        assert_eq!(json["advice"], "install mesa-vulkan-drivers");
    }

    #[test]
    fn the_uplink_is_told_in_bits_a_second_or_with_the_reason_why_it_is_not_known() {
        let uplink = |at_least| Some(Uplink { bytes: 1_250_000, elapsed_us: 500_000, at_least });
        let told = |uplink| measured(&with_uplink(Capability::default(), uplink)).pop().unwrap();
        assert!(told(uplink(false)).ends_with("  20.0 Mbit/s to the matchmaker"));
        assert!(told(uplink(true)).ends_with("at least 20.0 Mbit/s to the matchmaker"));
        assert!(told(None).starts_with("uplink") && told(None).contains("for the first time"));
        let json = serde_json::to_value(with_uplink(Capability::default(), uplink(false))).unwrap();
        assert_eq!(json["uplink"]["elapsed_us"], 500_000);
    }

    #[test]
    fn every_area_is_looked_at() {
        let mut areas: Vec<_> = encoders(&look().0)
            .into_iter()
            .chain([audio()])
            .chain(ports())
            .chain(sandbox())
            .chain(titles())
            .map(|check| check.area)
            .collect();
        areas.dedup();
        assert_eq!(areas, ["encoder", "audio", "ports", "sandbox", "titles"]);
    }
}
