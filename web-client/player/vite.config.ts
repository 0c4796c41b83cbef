import { defineConfig } from 'vitest/config';

// One ES module plus one lazy chunk (the Ed25519 fallback), for bundlers and for <script type=module>.
export default defineConfig({
  build: {
    target: 'es2022',
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'index' },
    sourcemap: true,
  },
  test: { environment: 'happy-dom', include: ['test/**/*.test.ts'] },
});
