/** What pictures travel in is agreed on with the page, and an encoder that fails gives way without a new connection. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Page } from 'playwright-core';
import { DESKTOP } from '../harness/browser.js';
import { listens, open, sessionOf } from '../harness/play.js';
import { BINARY, Program } from '../harness/program.js';
import { inPage, separately } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

/** A stand-in for NVIDIA's driver, built beside the program: its AV1 is real, by libaom. */
const STAND_IN = join(dirname(BINARY), 'libnearframe_nvenc_stand_in.so');
/** The whole picture in H.264 needs more than this. */
const CAP_KBPS = '2000';
/** A path is narrow after 2 s, and an encoder is opened. */
const AGREED_LIMIT_MS = 20_000;
const SHOWN_LIMIT_MS = 20_000;
/** Ten seconds of a session, and some of them in AV1. */
const FAILING_PICTURE = 900;
const FAILED_LIMIT_MS = 60_000;
/** As long as decoding may stand still. */
const PICTURES = 30;

/** A folder with the driver's libraries, which are one; its faults lie beside it. */
function driver(faults: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'nearframe-driver-'));
  const library = join(folder, 'libcuda.so.1');
  copyFileSync(STAND_IN, library);
  symlinkSync(library, join(folder, 'libnvidia-encode.so.1'));
  symlinkSync(library, join(folder, 'libnvidia-ml.so.1'));
  writeFileSync(join(folder, 'libcuda.so.faults'), faults);
  return folder;
}

separately('AV1 is agreed on where a path is narrow, and H.264 goes on where its encoder fails', async (browser, t) => {
  const libraries = driver(`fail-at=${FAILING_PICTURE}`);
  t.after(() => rmSync(libraries, { recursive: true }));
  const { program, base } = await Program.up('--nvidia-libraries', libraries, '--slots', '1');
  t.after(() => program.discard());
  await inPage('codecs', { browser, t, program, base }, DESKTOP, async ({ page }) => {
    await open(page, base, 'testcard');
    await listens(page);
    const session = await sessionOf(page);
    assert.equal(await encoder(page), 'NVENC');
    await plays(page, 'video/H264');
    await cap(page, CAP_KBPS);
    await until('AV1 is agreed on', AGREED_LIMIT_MS, async () => ((await encoder(page)) === 'NVENC, AV1' ? true : undefined));
    await plays(page, 'video/AV1');
    await until('its encoder fails', FAILED_LIMIT_MS, async () => ((await encoder(page)) === 'OpenH264' ? true : undefined));
    await plays(page, 'video/H264');
    assert.equal(await sessionOf(page), session);
    assert.equal(await page.evaluate(() => window.nearframeProbe.connections.length), 1);
  });
  await program.stop();
});

/** Waits until pictures are decoded in this codec. */
async function plays(page: Page, mime: string): Promise<void> {
  let since: number | undefined;
  await until(`pictures in ${mime}`, SHOWN_LIMIT_MS, async () => {
    const { codec, decoded } = await received(page);
    if (codec !== mime) since = undefined;
    else since ??= decoded;
    return since !== undefined && decoded >= since + PICTURES ? true : undefined;
  });
}

/** The codec of the picture and how many were decoded, as the browser tells. */
function received(page: Page): Promise<{ codec: string | undefined; decoded: number }> {
  return page.evaluate(async () => {
    const report = await window.nearframeProbe.connections.at(-1)?.getStats();
    const rows: RTCInboundRtpStreamStats[] = [];
    report?.forEach((row: RTCInboundRtpStreamStats) => rows.push(row));
    const video = rows.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    const codec = video?.codecId === undefined ? undefined : (report?.get(video.codecId) as { mimeType?: string } | undefined)?.mimeType;
    return { codec, decoded: video?.framesDecoded ?? 0 };
  });
}

/** The encoder's name as the node tells it. */
function encoder(page: Page): Promise<string | undefined> {
  return page.evaluate(() => document.querySelector('near-frame')?.stats.session?.encoder);
}

/** Sets the player's limit in the settings, which need not lie open. */
async function cap(page: Page, kbps: string): Promise<void> {
  await page.evaluate((value) => {
    const select = document.querySelector('near-frame')?.shadowRoot?.querySelector<HTMLSelectElement>('select#cap');
    if (select === null || select === undefined) throw new Error('there is no setting for it');
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  }, kbps);
}
