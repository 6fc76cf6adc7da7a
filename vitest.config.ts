import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/postgres-setup.ts'],
    exclude: ['test/soak/**', 'test/clients/**'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Drills, leases and kills wait more than they work: two cores take twice as many.
    maxWorkers: 4,
  },
})
