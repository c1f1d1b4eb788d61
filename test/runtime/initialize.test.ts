import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Initializer } from '../../compiler/ir/types.js'
import type { RunState } from '../../compiler/plan/run-spec.js'
import { initialState } from '../../runtime/initialize.js'
import { encodeSafetensors } from '../../runtime/safetensors.js'

const dir = mkdtempSync(join(tmpdir(), 'dinoc-initialize-'))
afterAll(() => rmSync(dir, { recursive: true }))

const tensor = (name: string, init: Initializer, shape = [4, 5]): RunState => ({
  name,
  dtype: 'f32',
  shape,
  storedShape: shape,
  role: 'student',
  init,
})
const deviation = (values: Float32Array) =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)

const valuesOf = (state: readonly RunState[], seed: number) => new Map(initialState(state, seed))

describe('initial values', () => {
  it('are keyed by seed and key, whatever else there is', () => {
    const a = tensor('a', { kind: 'trunc_normal', std: 0.02, key: 'backbone.a' })
    const b = tensor('b', { kind: 'trunc_normal', std: 0.02, key: 'backbone.b' })
    const both = valuesOf([a, b], 1)
    expect(both.get('a')).not.toEqual(both.get('b'))
    expect(valuesOf([a], 1).get('a')).toEqual(both.get('a'))
    expect(valuesOf([b, a], 2).get('a')).not.toEqual(both.get('a'))
  })

  it('have their distributions', () => {
    const state = valuesOf(
      [
        tensor('z', { kind: 'zeros' }),
        tensor('c', { kind: 'constant', value: 0.25 }),
        tensor('n', { kind: 'normal', std: 3, key: 'n' }, [200, 100]),
        tensor('t', { kind: 'trunc_normal', std: 0.02, key: 't' }, [200, 100]),
        tensor('w', { kind: 'trunc_normal', std: 2, key: 'w' }, [200, 100]),
        tensor('u', { kind: 'uniform', bound: 0.5, key: 'u' }, [200, 100]),
      ],
      0,
    )
    expect(state.get('z')).toEqual(new Float32Array(20))
    expect(state.get('c')).toEqual(new Float32Array(20).fill(0.25))
    expect(deviation(state.get('n')!)).toBeCloseTo(3, 1)
    expect(deviation(state.get('t')!)).toBeCloseTo(0.02, 3)
    // Cut at two absolute units, which is one standard deviation here: sqrt(1 - 2 phi(1) / (2 Phi(1) - 1)) = 0.54.
    expect(Math.max(...state.get('w')!.map(Math.abs))).toBeLessThanOrEqual(2)
    expect(deviation(state.get('w')!)).toBeCloseTo(2 * 0.5397, 1)
    expect(Math.max(...state.get('u')!.map(Math.abs))).toBeLessThanOrEqual(0.5)
    expect(deviation(state.get('u')!)).toBeCloseTo(0.5 / Math.sqrt(3), 2)
  })

  it('copy another tensor, also one that comes later', () => {
    const state = valuesOf(
      [
        tensor('keep', { kind: 'copy', of: 'teacher' }),
        tensor('teacher', { kind: 'copy', of: 'student' }),
        tensor('student', { kind: 'normal', std: 1, key: 's' }),
      ],
      7,
    )
    expect(state.get('keep')).toEqual(state.get('student'))
    expect(() => valuesOf([tensor('a', { kind: 'copy', of: 'b' })], 0)).toThrow(RangeError)
  })

  it('come from a file, by flat or by stored shape', () => {
    const path = join(dir, 'weights.safetensors')
    const data = Float32Array.from({ length: 6 }, (_, i) => i)
    writeFileSync(
      path,
      Buffer.concat(encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [1, 2, 3], data }]]))),
    )
    const init: Initializer = { kind: 'artefact', path, tensor: 'w', hash: null }
    const spec = { ...tensor('x', init, [2, 3]), storedShape: [1, 2, 3] }
    expect(valuesOf([spec], 0).get('x')).toEqual(data)
    expect(() => valuesOf([tensor('x', init, [3, 3])], 0)).toThrow(
      'expected shape [3, 3], found shape [1, 2, 3]',
    )
    expect(() => valuesOf([tensor('x', { ...init, tensor: 'y' })], 0)).toThrow('DINO1009')
  })
})
