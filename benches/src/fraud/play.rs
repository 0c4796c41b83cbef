//! A session, played: the node signs receipts every 10 s, the page checks and countersigns them as the real one does,
//! and the chain and the meter of `nearframe-ledger` judge and bill them.

use super::cheat::Cheat;
use super::world::{Node, Plot};
use crate::placement::dice::Dice;
use nearframe_ledger::{Chain, Meter, Refusal, Tariff, Terms, Verdict};
use nearframe_protocol::receipt::{Receipt, SignedReceipt};
use nearframe_protocol::{Currency, Generation, NodeKey};
use nearframe_trust::seen::{CheckSeen, PageSeen, ReceiptSeen, RefusedSeen, SessionSeen};

/// Between receipts, µs.
const INTERVAL_US: u64 = 10_000_000;
/// What the page allows a claim to exceed its own clock by: the page's own constant.
const PAGE_SLACK_US: u64 = 2_000_000;
const FPS: f64 = 60.0;

/// What became of a session.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) seen: SessionSeen,
    pub(crate) check: Option<CheckSeen>,
    pub(crate) billed_us: u64,
    pub(crate) played_us: u64,
    pub(crate) receipts: u64,
}

/// What truly happened in an interval.
#[derive(Clone, Copy, Debug)]
struct Truth {
    duration_us: u64,
    frames: u32,
    bytes: u64,
    encoder_us: u64,
    packets: u32,
    lost: u32,
    arrived_frames: u64,
    arrived_bytes: u64,
}

/// A session under way.
struct Stage<'a> {
    node: &'a Node,
    plot: &'a Plot,
    node_key: NodeKey,
    player_key: NodeKey,
    terms: Terms,
    chain: Chain,
    meter: Meter,
    tariff: Tariff,
    page: PageSeen,
    page_claimed_us: u64,
    played: Played,
    dice: Dice,
    /// Receipts of an earlier session that this one repeats.
    script: Option<&'a [ReceiptSeen]>,
}

/// Plays a session; `earlier` is what the node signed for one before.
pub(crate) fn play(node: &Node, plot: &Plot, earlier: Option<&[ReceiptSeen]>) -> Played {
    let mut dice = Dice::new(
        node.seed ^ u64::from_le_bytes(plot.session.as_bytes()[..8].try_into().unwrap_or_default()),
    );
    let mut seed = |tag: u8| {
        let mut seed = [tag; 32];
        seed[..8].copy_from_slice(&dice.next().to_le_bytes());
        seed
    };
    let (node_key, player_key) = (NodeKey::from_seed(seed(1)), NodeKey::from_seed(seed(2)));
    let terms = Terms {
        session: plot.session,
        generation: Generation(0),
        node_key: node_key.public(),
        player_key: player_key.public(),
        started_at_ms: plot.started_at_ms,
        ended_at_ms: None,
    };
    let replays = node.cheat == Some(Cheat::Replay) && dice.chance(node.rate);
    let page =
        PageSeen { until_sequence: 0, elapsed_us: 0, frames: 0, bytes: 0, packets: 0, packets_lost: 0 };
    let mut stage = Stage {
        node,
        plot,
        node_key,
        player_key,
        terms,
        chain: Chain::default(),
        meter: Meter::default(),
        tariff: Tariff {
            price_micros_per_hour: 500_000,
            fee_permille: 200,
            currency: Currency::new("EUR").expect("EUR is a currency code"),
        },
        page,
        page_claimed_us: 0,
        played: Played { seen: empty(node, plot), check: None, billed_us: 0, played_us: 0, receipts: 0 },
        dice,
        script: earlier.filter(|_| replays),
    };
    stage.run();
    stage.end()
}

fn empty(node: &Node, plot: &Plot) -> SessionSeen {
    SessionSeen {
        session: plot.session,
        node: node.seen.node,
        player: plot.player,
        started_at_ms: plot.started_at_ms,
        until_ms: plot.started_at_ms + plot.length_ms,
        asked_fps: FPS as u16,
        receipts: vec![],
        refused: vec![],
        page: None,
    }
}

impl Stage<'_> {
    fn run(&mut self) {
        let mut at_ms = self.plot.started_at_ms + self.plot.start_up_ms;
        let end_ms = self.plot.started_at_ms + self.plot.length_ms;
        let crash_ms = if self.plot.crashes { at_ms + self.plot.length_ms / 2 } else { u64::MAX };
        while at_ms < end_ms.min(crash_ms) {
            let length_us = INTERVAL_US.min((end_ms - at_ms) * 1000);
            // The network is away for a while: nothing is sent, and nothing is claimed by whoever is honest.
            if self.dice.chance(0.002) {
                at_ms += 5_000 + self.dice.below(20_000) as u64;
                continue;
            }
            at_ms += length_us / 1000;
            let truth = self.truth(length_us);
            self.interval(&truth, at_ms);
        }
    }

    fn truth(&mut self, length_us: u64) -> Truth {
        let seconds = length_us as f64 / 1e6;
        let speed = self.plot.speed * (0.99 + 0.01 * self.dice.share());
        let frames = (FPS * speed * seconds).round();
        let bitrate = 6e6 + 6e6 * self.dice.share();
        let loss = (self.plot.loss + self.node.loss) * (0.5 + self.dice.share());
        let media = bitrate / 8.0 * seconds;
        // What is lost is sent again, once or twice.
        let bytes = media * (1.0 + loss * 1.1);
        let packets = (bytes / 1_150.0).max(1.0);
        let lost = (packets * loss).round();
        // Most frames with a lost packet are repaired in time.
        let missing = (loss * 0.25).min(0.2);
        let arrived = frames * self.plot.line * (1.0 - missing);
        let tier_us = [30_000.0, 9_000.0, 6_500.0, 5_000.0, 4_200.0, 3_600.0, 3_200.0, 2_900.0];
        let one_us = tier_us[usize::from(self.node.seen.gpu_tier).min(7)] * (0.85 + 0.1 * self.dice.share());
        Truth {
            duration_us: (length_us as f64 * (1.0 + self.node.clock_ppm / 1e6)) as u64,
            // A player whose line or machine is slow is sent less: congestion control sees to it.
            frames: (frames * self.plot.line).round() as u32,
            bytes: bytes as u64,
            encoder_us: (frames * one_us) as u64 + self.dice.below(900) as u64,
            packets: packets as u32,
            lost: lost as u32,
            arrived_frames: arrived.round() as u64,
            arrived_bytes: (bytes * (packets - lost) / packets) as u64,
        }
    }

    fn interval(&mut self, truth: &Truth, at_ms: u64) {
        self.played.played_us += truth.duration_us;
        let mut receipt = self.claim(truth, at_ms);
        self.watch(truth, at_ms);
        let mut verdict = self.hand_in(&receipt, at_ms);
        if let Err(Refusal::TooLong { claimed_us, lasted_us }) = verdict {
            self.played.seen.refused.extend(RefusedSeen::of(&Refusal::TooLong { claimed_us, lasted_us }));
            // A cheater takes what it gets; an honest node with a bad clock does the same in good faith.
            receipt.duration_us = self.terms.claimable_us(at_ms).saturating_sub(self.chain.claimed_us);
            verdict = self.hand_in(&receipt, at_ms);
        }
        debug_assert!(verdict.is_ok(), "{verdict:?}");
    }

    /// What the node's receipt says.
    fn claim(&mut self, truth: &Truth, at_ms: u64) -> Receipt {
        let more = |value: u64| (value as f64 * (1.0 + self.node.rate)) as u64;
        let sequence = self.chain.next_sequence;
        let mut receipt = Receipt {
            session: self.plot.session,
            generation: Generation(0),
            sequence,
            previous: self.chain.head,
            duration_us: truth.duration_us,
            frames: truth.frames,
            bytes: truth.bytes,
            encoder_us: truth.encoder_us,
            width: 1280,
            height: 720,
            rtt_us: 15_000,
            packets_sent: truth.packets,
            packets_lost: truth.lost,
        };
        match self.node.cheat {
            Some(Cheat::InflateTime) => receipt.duration_us = more(receipt.duration_us),
            Some(Cheat::InflateFrames) => receipt.frames = more(receipt.frames.into()) as u32,
            Some(Cheat::InflateBytes) => receipt.bytes = more(receipt.bytes),
            Some(Cheat::Skim) => {
                receipt.duration_us = self.terms.claimable_us(at_ms).saturating_sub(self.chain.claimed_us);
            }
            Some(Cheat::FakeGpu) => {
                // It says that it encoded every frame as fast as the GPU would that it has not.
                receipt.encoder_us = (truth.encoder_us as f64 * 0.9) as u64;
            }
            _ => {}
        }
        if let Some(said) = self.script.and_then(|script| script.get(sequence as usize)) {
            (receipt.frames, receipt.bytes, receipt.encoder_us) = (said.frames, said.bytes, said.encoder_us);
        }
        receipt
    }

    /// The page counts by itself.
    fn watch(&mut self, truth: &Truth, at_ms: u64) {
        let said = |value: u64| (value as f64 * (1.0 - self.plot.understates)) as u64;
        let page = &mut self.page;
        page.until_sequence = self.chain.next_sequence;
        let ours_us = truth.duration_us as f64 * (1.0 + (self.plot.page_ppm - self.node.clock_ppm) / 1e6);
        page.elapsed_us += said(ours_us as u64);
        page.frames += said(truth.arrived_frames);
        page.bytes += said(truth.arrived_bytes);
        page.packets += u64::from(truth.packets - truth.lost);
        page.packets_lost += u64::from(truth.lost);
        // Its words are late, and the last ones are lost with the page.
        if at_ms + 12_000 < self.plot.started_at_ms + self.plot.length_ms || self.plot.checker.is_some() {
            // Messages cross: the page has seen up to a quarter of a second more or less than the receipt covers.
            let early_us = self.dice.below(250_000) as u64;
            let mut told = *page;
            told.elapsed_us = told.elapsed_us.saturating_sub(early_us);
            told.frames = told.frames.saturating_sub(early_us * 60 / 1_000_000);
            told.bytes = told.bytes.saturating_sub(early_us);
            self.played.seen.page = Some(told);
        }
    }

    fn hand_in(&mut self, receipt: &Receipt, at_ms: u64) -> Result<(), Refusal> {
        self.played.receipts += 1;
        let mut signed = SignedReceipt::sign(&self.node_key, receipt.clone());
        let passed_us = (at_ms - self.plot.started_at_ms) * 1000;
        let fits = self.page_claimed_us + receipt.duration_us <= passed_us + PAGE_SLACK_US;
        // Now and then a page does not answer in time.
        if fits && !self.dice.chance(0.003) {
            signed.player_signature = Some(self.player_key.sign(&receipt.signed_bytes()));
            self.page_claimed_us += receipt.duration_us;
        }
        let Verdict::Next(link) = self.chain.judge(&self.terms, &signed, None, at_ms)? else { return Ok(()) };
        self.chain = link.chain;
        let bill = self.meter.bill(&self.tariff, receipt.duration_us, link.countersigned);
        self.played.billed_us += bill.map_or(0, |bill| bill.billed_us);
        self.played.seen.receipts.push(ReceiptSeen::from(receipt));
        Ok(())
    }

    fn end(mut self) -> Played {
        let missing = match self.node.cheat {
            Some(Cheat::Recorded) => self.node.rate,
            // One in thirty comes too late or is lost.
            _ => 0.03 + self.plot.loss,
        };
        let page = self.played.seen.page;
        self.played.check = self.plot.checker.zip(page).map(|(checker, page)| {
            let asked = 8;
            let answered = (0..asked).filter(|_| !self.dice.chance(missing)).count();
            CheckSeen {
                checker,
                node: self.node.seen.node,
                session: self.plot.session,
                elapsed_us: page.elapsed_us,
                asked_fps: FPS as u16,
                frames_shown: page.frames,
                frame_age_us: 25_000,
                rtt_us: 15_000,
                bytes: page.bytes,
                challenges_asked: asked,
                challenges_answered: answered as u32,
            }
        });
        self.played
    }
}
