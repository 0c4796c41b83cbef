import { describe, expect, it } from 'vitest';
import { save } from '../../dev/fixtures';
import { savedGames } from './saved-games';

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
