/** The visitor's saves as a page shows them: by title, the one that counts first. */
import type { Save } from '../api/client';

/** All kept versions of one title. */
export interface SavedGame {
  readonly title: string;
  /** What the next session starts from. */
  readonly current: Save;
  /** Newest first. */
  readonly older: readonly Save[];
  /** Two sessions went on from the same save, so that one of two results is not the current one. */
  readonly forked: boolean;
}

/** Titles in the order of their newest save. */
export function savedGames(saves: readonly Save[]): SavedGame[] {
  const games = [...new Set(saves.map(({ title }) => title))].flatMap((title) => {
    const sorted = saves.filter((save) => save.title === title).sort((a, b) => b.version - a.version);
    const current = sorted.find((save) => save.current) ?? sorted[0];
    if (current === undefined) return [];
    const older = sorted.filter((save) => save !== current);
    const bases = sorted.flatMap(({ based_on }) => based_on ?? []);
    return [{ title, current, older, forked: new Set(bases).size < bases.length }];
  });
  return games.sort((a, b) => newest(b) - newest(a));
}

function newest({ current, older }: SavedGame): number {
  return Math.max(current.created_at_ms, ...older.map((save) => save.created_at_ms));
}
