import { describe, expect, it } from 'vitest';
import type { Save } from '../api/client';
import { savedGames } from './saved-games';

const save = (title: string, version: number, rest: Partial<Save> = {}): Save => ({
  title,
  version,
  current: false,
  hash: '00'.repeat(32),
  title_version: '1.0.0',
  session: '6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11',
  size_bytes: 1000,
  created_at_ms: version * 1000,
  ...(version > 1 && { based_on: version - 1 }),
  ...rest,
});

describe('saved games', () => {
  it('are grouped by title, the current version first and the newest title on top', () => {
    const games = savedGames([save('a', 1), save('a', 2, { current: true }), save('b', 9, { current: true }), save('a', 3)]);
    expect(games.map((game) => [game.title, game.current.version, game.older.map((older) => older.version)])).toEqual([
      ['b', 9, []],
      ['a', 2, [3, 1]],
    ]);
  });

  it('say when two sessions went on from the same save', () => {
    const fork = savedGames([save('a', 1), save('a', 2, { based_on: 1 }), save('a', 3, { based_on: 1, current: true })]);
    expect(fork[0]?.forked).toBe(true);
    expect(savedGames([save('a', 1), save('a', 2, { current: true })])[0]?.forked).toBe(false);
  });

  it('of nobody are none', () => {
    expect(savedGames([])).toEqual([]);
  });
});
