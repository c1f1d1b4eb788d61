import { afterEach, expect, it } from 'vitest'
import { openPool, type RenderPool } from '../../runtime/data/pool.js'
import type { RenderSetup, RenderTask } from '../../runtime/data/render.js'
import { smallSpec } from './small-run.js'

const setup: RenderSetup = {
  seed: 0,
  augment: smallSpec().augment,
  channels: 3,
  sources: [{ root: '/nowhere', decoding: { channels: 3, background: [0, 0, 0] }, packed: null }],
  cache: null,
}
const probe: RenderTask = { kind: 'probe', images: [{ image: 0, source: 0, index: 0, name: 'a.png' }] }
/** Not an unreadable image but a fault of the program. */
const fatal = { ...probe, images: null } as unknown as RenderTask
let pool: RenderPool | null = null
afterEach(() => pool?.close())

it('reports what it cannot read', async () => {
  pool = openPool(setup, 2)
  const found = await Promise.all(Array.from({ length: 9 }, () => pool!.run(probe)))
  for (const failures of found) {
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({ at: 0, reason: expect.stringContaining('missing') })
  }
})

it('says that a thread died instead of hanging, then and later', async () => {
  pool = openPool(setup, 1)
  const tasks = [pool.run(fatal), pool.run(probe), pool.run(probe), pool.run(probe)]
  for (const result of await Promise.allSettled(tasks))
    if (result.status === 'rejected') expect(String(result.reason)).toContain('DINO1013')
  await expect(tasks[0]).rejects.toThrow('DINO1013: a data loader thread died')
  await expect(pool.run(probe)).rejects.toThrow('DINO1013')
})

it('ends with tasks under way, and takes none afterwards', async () => {
  pool = openPool(setup, 1)
  const results = Array.from({ length: 6 }, () => pool!.run(probe).catch((error: Error) => error.message))
  await pool.close()
  for (const result of await Promise.all(results))
    if (typeof result === 'string') expect(result).toBe('the loader pool is closed')
  await expect(pool.run(probe)).rejects.toThrow('closed')
})
