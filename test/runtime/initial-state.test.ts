import { expect, test } from 'vitest'
import { compileVariant } from '../../compiler/compile.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { initialState } from '../../runtime/initialize.js'
import { tinyExperiment } from '../golden/experiment.js'

test('the teacher begins as a copy of the student, also where an evaluation reads its features', () => {
  const { has } = openInterpret().capabilities()
  const source = { kind: 'source' as const, source: 'none', splits: null }
  const knn = {
    type: 'knn' as const,
    train: source,
    test: source,
    of: 'teacher' as const,
    resolution: 16,
    every: null,
  }
  const experiment = tinyExperiment({
    eval: { knn },
    sources: { none: { type: 'folder', path: 'none' } as never },
  })
  const { runSpec } = compileVariant(experiment, {
    class: 'arena',
    capabilities: has,
    arenaLimitBytes: null,
    memoryBytes: null,
  })
  const values = new Map(initialState(runSpec(0).state, 0))
  const teacher = [...values].filter(([name]) => name.startsWith('teacher.'))
  expect(teacher.length).toBeGreaterThan(30)
  for (const [name, tensor] of teacher)
    expect(tensor).toEqual(values.get(name.replace('teacher.', 'student.')))
})
