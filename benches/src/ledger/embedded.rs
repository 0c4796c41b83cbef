//! Our own journal.

use super::Args;
use crate::placement::dice::Dice;
use crate::process;
use anyhow::{Result, ensure};
use nearframe_journal::{Folder, Journal, Settings, verify};
use nearframe_ledger::books::{AccountNo, Action, Amount, Answer, Group, Key, Limit, Memo, Order};
use nearframe_ledger::{Account, Label};
use nearframe_protocol::{Currency, NodeId, NodeKey, TitleId};
use std::path::Path;
use std::time::{Duration, Instant};

const STUDIOS: u32 = 1_000;
const HOSTS: u32 = 10_000;
const RAIL: AccountNo = AccountNo(0);
/// What each studio starts with: more than it spends, so that no transfer is refused.
const DEPOSIT_MICROS: i128 = 1_000_000_000_000_000;
/// Memory is compared with that after this share of the transfers, when every buffer has had its size once.
const WARM_SHARE: u64 = 10;
/// Records of the two-phase round.
const TWO_PHASE_RECORDS: usize = 400_000;

pub(super) struct Measured {
    pub(super) per_s: f64,
    pub(super) two_phase_per_s: Option<f64>,
    pub(super) batches_ms: Vec<f64>,
    pub(super) memory_growth_mb: f64,
    pub(super) memory_mb: f64,
    pub(super) check_s: f64,
    pub(super) start_s: f64,
    pub(super) drift_units: i128,
}

struct Bench {
    journal: Journal<Folder>,
    dice: Dice,
    now_ms: u64,
    moved_micros: i128,
    batches_ms: Vec<f64>,
}

pub(super) fn run(args: &Args) -> Result<Measured> {
    let folder = tempfile::Builder::new().prefix("ledger-").tempdir_in(&args.folder)?;
    let mut bench = Bench::open(folder.path())?;
    bench.prepare()?;
    let batches = args.transfers.div_ceil(args.batch.into());
    let mut spent = Duration::ZERO;
    let mut warm_mb = own_pss_mb()?;
    for at in 0..batches {
        let groups: Vec<Group> = (0..args.batch).map(|_| bench.transfer()).collect();
        let start = Instant::now();
        bench.write(&groups)?;
        spent += start.elapsed();
        if at == batches / WARM_SHARE {
            warm_mb = own_pss_mb()?;
        }
    }
    let memory_mb = own_pss_mb()?;
    let per_s = (batches * u64::from(args.batch)) as f64 / spent.as_secs_f64();
    let batches_ms = std::mem::take(&mut bench.batches_ms);
    let two_phase_per_s = Some(bench.two_phase(args.batch as usize / 4)?);
    let head = bench.journal.head();
    let moved_micros = bench.moved_micros;
    drop(bench);

    let start = Instant::now();
    let journal = Bench::open(folder.path())?.journal;
    let start_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let verified = verify(&Folder::inspect(folder.path())?, &key().public(), &[head])?;
    let check_s = start.elapsed().as_secs_f64();
    ensure!(verified.books.canonical(&[]) == journal.books().canonical(&[]), "two ways of reading differ");
    let earned: i128 = journal.books().accounts()[1 + STUDIOS as usize..]
        .iter()
        .map(|account| account.balance.credits_micros)
        .sum();
    Ok(Measured {
        per_s,
        two_phase_per_s,
        batches_ms,
        memory_growth_mb: memory_mb - warm_mb,
        memory_mb,
        check_s,
        start_s,
        drift_units: (earned - moved_micros).abs(),
    })
}

fn key() -> NodeKey {
    NodeKey::from_seed([1; 32])
}

fn own_pss_mb() -> Result<f64> {
    process::pss_mb(std::process::id())
}

impl Bench {
    fn open(folder: &Path) -> Result<Self> {
        let (journal, _) = Journal::open(Folder::open(folder)?, key(), Settings::default())?;
        let now_ms = 1_700_000_000_000;
        Ok(Self { journal, dice: Dice::new(1), now_ms, moved_micros: 0, batches_ms: vec![] })
    }

    fn order(&mut self, action: Action) -> Order {
        Order { key: self.key(), action, memo: Memo { code: 1, subject: [2; 16], evidence: [3; 32] } }
    }

    fn key(&mut self) -> Key {
        let (high, low) = (self.dice.next(), self.dice.next());
        Key::from_bytes(((u128::from(high) << 64) | u128::from(low)).to_le_bytes())
    }

    fn prepare(&mut self) -> Result<()> {
        let currency = Currency::new("EUR")?;
        let rail = (Account::Rail(Label::new("bank")?), Limit::None);
        let studios = (0..STUDIOS)
            .map(|n| Ok((Account::Studio(TitleId::new(&format!("studio-{n}"))?), Limit::Debits)))
            .collect::<Result<Vec<_>>>()?;
        let hosts = (0..HOSTS).map(|n| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            (Account::Host(NodeId::from_bytes(id)), Limit::Debits)
        });
        let mut groups = vec![];
        for (account, limit) in std::iter::once(rail).chain(studios).chain(hosts) {
            groups.push(vec![self.order(Action::Open { account, currency: currency.clone(), limit })]);
        }
        for n in 1..=STUDIOS {
            let credit = AccountNo(n);
            groups.push(vec![self.order(Action::Move {
                debit: RAIL,
                credit,
                amount_micros: DEPOSIT_MICROS,
            })]);
        }
        groups.chunks(8192).try_for_each(|groups| self.write(groups))?;
        self.batches_ms.clear();
        Ok(())
    }

    fn parties(&mut self) -> (AccountNo, AccountNo, i128) {
        let debit = AccountNo(1 + self.dice.below(STUDIOS as usize) as u32);
        let credit = AccountNo(1 + STUDIOS + self.dice.below(HOSTS as usize) as u32);
        let amount_micros = 1 + self.dice.below(1_000_000) as i128;
        self.moved_micros += amount_micros;
        (debit, credit, amount_micros)
    }

    fn transfer(&mut self) -> Group {
        let (debit, credit, amount_micros) = self.parties();
        vec![self.order(Action::Move { debit, credit, amount_micros })]
    }

    fn write(&mut self, groups: &[Group]) -> Result<()> {
        self.now_ms += 1;
        let start = Instant::now();
        let answers = self.journal.write(groups, self.now_ms)?;
        self.batches_ms.push(start.elapsed().as_secs_f64() * 1000.0);
        ensure!(answers.iter().all(|answer| *answer == Answer::Done), "a transfer was not carried out");
        Ok(())
    }

    /// Amounts that are set aside and, in the next write, posted: two records for each. Records a second.
    fn two_phase(&mut self, each: usize) -> Result<f64> {
        let mut spent = Duration::ZERO;
        let mut records = 0;
        while records < TWO_PHASE_RECORDS {
            let mut posts = Vec::with_capacity(each);
            let mut pends = Vec::with_capacity(each);
            for _ in 0..each.max(1) {
                let (debit, credit, amount_micros) = self.parties();
                let pend = self.order(Action::Pend { debit, credit, amount_micros, timeout_s: 3600 });
                let post = Action::Post { pending: pend.key, credit, amount: Amount::Rest, close: true };
                posts.push(vec![self.order(post)]);
                pends.push(vec![pend]);
            }
            let start = Instant::now();
            self.write(&pends)?;
            self.write(&posts)?;
            spent += start.elapsed();
            records += pends.len() + posts.len();
        }
        Ok(records as f64 / spent.as_secs_f64())
    }
}
