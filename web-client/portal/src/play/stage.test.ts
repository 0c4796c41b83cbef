// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Route } from '../router';
import { player, setStage, showStage } from './stage';

const start = vi.fn();
const leave = vi.fn();
const goOn = vi.fn<(session: string) => Promise<boolean>>();

/** Stands in for the player's element, which needs WebRTC. */
vi.mock('@nearframe/player', () => {
  class PretendPlayer extends HTMLElement {
    start = start;
    leave = leave;
    continue = goOn;
    view = { kind: 'idle' };
  }
  customElements.define('near-frame', PretendPlayer);
  return {};
});

const play = (title: string, begin: boolean): Route => ({ page: 'play', title, start: begin });
const stage = (): HTMLElement | null => document.getElementById('stage');

describe('the stage', () => {
  beforeEach(() => {
    document.body.innerHTML = '<div id="stage" hidden></div>';
    setStage({ page: 'catalogue' });
    start.mockClear();
    leave.mockClear();
  });

  it('starts at once where the address says so', () => {
    setStage(play('meteor', true));
    expect(player()?.getAttribute('title-id')).toBe('meteor');
    expect(start).toHaveBeenCalledOnce();
    expect(stage()?.hidden).toBe(false);
  });

  it('waits behind the details otherwise', () => {
    setStage(play('meteor', false));
    expect(player()).toBeDefined();
    expect(start).not.toHaveBeenCalled();
    expect(stage()?.hidden).toBe(true);
  });

  it('goes on with a session that waits here, and shows the details of one that does not', async () => {
    const back: Route = { page: 'play', title: 'meteor', start: false, session: 'some-session' };
    goOn.mockResolvedValueOnce(true);
    setStage(back);
    expect(stage()?.hidden).toBe(false);
    await vi.waitFor(() => expect(goOn).toHaveBeenCalledWith('some-session'));
    expect(stage()?.hidden).toBe(false);
    goOn.mockResolvedValueOnce(false);
    setStage(back);
    await vi.waitFor(() => expect(stage()?.hidden).toBe(true));
    expect(start).not.toHaveBeenCalled();
  });

  it('keeps the element of a running title, so that its session goes on', () => {
    setStage(play('meteor', true));
    const before = player();
    setStage(play('meteor', false));
    expect(player()).toBe(before);
    expect(leave).not.toHaveBeenCalled();
  });

  it('leaves one title before it opens another', () => {
    setStage(play('meteor', true));
    setStage(play('scene', true));
    expect(leave).toHaveBeenCalledOnce();
    expect(stage()?.children).toHaveLength(1);
    expect(player()?.getAttribute('title-id')).toBe('scene');
  });

  it('leaves when the address is another page', () => {
    setStage(play('meteor', true));
    setStage({ page: 'nodes' });
    expect(leave).toHaveBeenCalledOnce();
    expect(player()).toBeUndefined();
    expect(stage()?.hidden).toBe(true);
  });

  it('is hidden without ending what runs on it', () => {
    setStage(play('meteor', true));
    showStage(false);
    expect(stage()?.hidden).toBe(true);
    expect(leave).not.toHaveBeenCalled();
  });
});
