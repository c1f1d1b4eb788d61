import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/property-seed.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    // Worker threads (data loaders) run the sources too.
    execArgv: ['--import', new URL('./test/support/typescript-workers.mjs', import.meta.url).href],
  },
})
