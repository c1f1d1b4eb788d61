import { defineConfig } from 'vitest/config'

/** Checks in a real browser, apart from `npm test`: npx vitest run --config vitest.browser.config.ts */
export default defineConfig({
  test: {
    include: ['test/browser/**/*.browser.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
  },
})
