//! On what grounds a part of a stake may be set aside.

use crate::fraud::{Grade, Kind};
use crate::witness::Witness;
use nearframe_protocol::CaseId;
use nearframe_protocol::trust::Verdict;

/// A case that costs stake. It can only be made of one that was upheld and that independent witnesses prove, so that
/// whoever has one may set aside.
///
/// **Architecture invariant:** there is no other way to it: a lone witness, be it a checker, never costs anybody stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grounds {
    case: CaseId,
    kind: Kind,
}

impl Grounds {
    /// Of a case, by what it rests on and what was decided. Each witness of a finding is independent of the others.
    pub fn of(
        case: CaseId,
        kind: Kind,
        grade: Grade,
        witnesses: &[Witness],
        verdict: Option<Verdict>,
    ) -> Option<Self> {
        let is_proved = grade == Grade::Slash && witnesses.len() >= 2;
        (is_proved && verdict == Some(Verdict::Upheld)).then_some(Self { case, kind })
    }

    /// Of which case.
    pub fn case(self) -> CaseId {
        self.case
    }

    /// What was found.
    pub fn kind(self) -> Kind {
        self.kind
    }
}
