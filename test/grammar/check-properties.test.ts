import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { catalogue } from '../../diagnostics/catalogue.js'
import type { Diagnostic } from '../../diagnostics/diagnostic.js'
import { mutated, mutationRuns } from './mutate.js'

/** The whole of `check` over mutated files: it never crashes or hangs, and every rejection has a code and a place. */
vi.setConfig({ testTimeout: 7_200_000 })

const options = { set: [], params: {}, env: {} }
const disk = nodeHost()

function expectPlaces(diagnostics: readonly Diagnostic[], files: ReadonlyMap<string, string>) {
  for (const { code, severity, message, primary, labels } of diagnostics) {
    expect(Object.keys(catalogue)).toContain(code)
    expect(message).not.toMatch(/undefined|NaN|\[object|``/)
    if (severity === 'error') expect(primary, `${code}: ${message}`).not.toBeNull()
    for (const { span } of [...(primary ? [primary] : []), ...labels]) {
      const text = files.get(span.file)
      expect(text, `${code} names ${span.file}`).toBeDefined()
      expect(span.start).toBeGreaterThanOrEqual(0)
      expect(span.end).toBeGreaterThanOrEqual(span.start)
      expect(span.end).toBeLessThanOrEqual(text!.length)
      const line = text!.slice(0, span.start).split(/\r\n|\r|\n/)
      expect([span.startLine, span.startColumn]).toEqual([line.length, line.at(-1)!.length + 1])
    }
  }
}

const milliseconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

test('a mutated file is checked within a second, and every fault has its place', () => {
  // the presets are read, and the code compiled, before the clock runs
  resolve('experiments/dinov2_vitl14.dino', disk, options)
  fc.assert(
    fc.property(mutated(), ({ name, text }) => {
      const host = { read: (path: string) => (path === name ? text : disk.read(path)) }
      const started = milliseconds()
      const { diagnostics, files, experiments } = resolve(name, host, options)
      expect(milliseconds() - started).toBeLessThan(1000)
      expectPlaces(diagnostics, files)
      const places = diagnostics.map(
        (d) => `${d.code} ${d.primary?.span.file} ${d.primary?.span.start} ${d.message}`,
      )
      expect(new Set(places).size).toBe(places.length)
      for (const { variants } of experiments) for (const { resolved } of variants) JSON.stringify(resolved)
    }),
    { numRuns: mutationRuns },
  )
})

test('planning for the memory that a mutated file states does not crash either', () => {
  fc.assert(
    fc.property(mutated(), ({ name, text }) => {
      const host = { read: (path: string) => (path === name ? text : disk.read(path)) }
      const { diagnostics, files } = checkFile(name, host, options)
      expectPlaces(diagnostics, files)
    }),
    { numRuns: mutationRuns / 50 },
  )
})
