/** Builds the pages once for all checks of this folder, as they are shipped but over the mock. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of the built pages. */
    readonly pages: string;
  }
}

export default async function buildPages(project: TestProject): Promise<() => Promise<void>> {
  const outDir = await mkdtemp(join(tmpdir(), 'portal-pages-'));
  // The test runner says `test`; what is checked is what is shipped.
  process.env['NODE_ENV'] = 'production';
  const root = fileURLToPath(new URL('..', import.meta.url));
  await build({ root, mode: 'mock', logLevel: 'error', build: { outDir, emptyOutDir: true } });
  project.provide('pages', outDir);
  return () => rm(outDir, { recursive: true, force: true });
}
