/** What checkers reported of a machine, in words. Pure. */
import type { FiledCheck } from '../api/client';
import type { Standing } from './fleet';

type Report = FiledCheck['check']['report'];

const VERDICTS: Record<Report['verdict'], Standing> = {
  passed: { word: 'Passed', tone: 'good' },
  failed: { word: 'Failed', tone: 'bad' },
  inconclusive: { word: 'Nothing to say', tone: 'off' },
};

const FINDINGS: Record<Report['findings'][number], string> = {
  no_connection: 'no connection came about',
  wrong_identity: 'the signature over its certificate is wrong',
  no_picture: 'no picture came',
  challenge_unanswered: 'no frame answered the challenge: the picture is recorded, or made elsewhere',
  challenge_late: 'the answer to the challenge came too late',
  not_challenged: 'there was no challenge',
  receipts_overstated: 'receipts claim more than came',
  receipts_broken: 'receipts do not follow each other',
};

export function verdictOf(report: Report): Standing {
  return VERDICTS[report.verdict];
}

export function findingsOf(report: Report): string {
  return report.findings.map((finding) => FINDINGS[finding]).join('; ');
}

/** Frames a second, frame age and round trip; what is unknown is left out. */
export function figuresOf(report: Report): string {
  const seconds = report.played_ms / 1000;
  const ms = (us: number): string => `${Math.round(us / 1000)} ms`;
  return [
    seconds > 0 ? `${Math.round(report.frames / seconds)} frames a second` : '',
    report.age_p50_us > 0 ? `${ms(report.age_p50_us)} old` : '',
    report.rtt_us > 0 ? `round trip ${ms(report.rtt_us)}` : '',
    report.freezes > 0 ? `${report.freezes} ${report.freezes === 1 ? 'freeze' : 'freezes'}` : '',
  ]
    .filter(Boolean)
    .join(', ');
}
