import { expect, it } from 'vitest'
import { compileVariant } from '../../compiler/compile.js'
import { nodeHost } from '../../compiler/resolve/host.js'
import { resolve } from '../../compiler/resolve/resolve.js'
import { openRunData } from '../../runtime/data/run-data.js'
import { openInterpret } from '../../runtime/devices/interpret.js'
import { timeline } from '../../runtime/timeline.js'

it('every input of a compiled plan is made, in its size and type, in every phase', async () => {
  const host = nodeHost()
  const { experiments, diagnostics } = resolve('experiments/emoji_ablation.dino', host, {
    set: [],
    params: {},
    env: {},
  })
  expect(diagnostics.filter((d) => d.severity === 'error')).toEqual([])
  const full = experiments[0]!.variants[0]!.resolved
  const capabilities = openInterpret().capabilities()
  const compiled = compileVariant(full, {
    class: capabilities.class,
    capabilities: capabilities.has,
    arenaLimitBytes: capabilities.arenaLimitBytes,
    memoryBytes: null,
  })
  const spec = compiled.runSpec(0)
  const data = await openRunData({
    spec,
    plan: (span) => compiled.plans[span.phase.plan]!,
    log: (d) => expect(d).toBeNull(),
    threads: 1,
  })
  try {
    const passSteps = Math.ceil(data.trainingImages / spec.batch.images)
    const spans = timeline(spec, { epoch: spec.epoch, passSteps })
    expect(spans.map((span) => span.phase.name)).toEqual(['pretrain', 'hires'])
    for (const span of spans) {
      const plan = compiled.plans[span.phase.plan]!
      const steps = await data.open(span, span.end - 2)
      const { micro, step, maskedRows } = await steps.next()
      const inputs = { ...micro[0], ...step }
      const wanted = plan.inputs.map(({ name, tensor }) => {
        const { dtype, shape } = plan.tensors[tensor]!
        return [name, dtype === 'i32' ? 'Int32Array' : 'Float32Array', shape.reduce((n, size) => n * size, 1)]
      })
      const made = plan.inputs.map(({ name }) => [name, inputs[name]!.constructor.name, inputs[name]!.length])
      expect(made).toEqual(wanted)
      expect(Object.keys(inputs).sort()).toEqual(plan.inputs.map(({ name }) => name).sort())
      expect(maskedRows).toBeGreaterThan(100)
      await steps.close()
    }
    const test = await data.images(spec.evaluations[0]!.protocol.test)
    expect(test.names.length + data.trainingImages).toBe(3786)
    expect(test.groups).not.toBeNull()
    expect(test.labels.every((label) => label >= 0)).toBe(true)
  } finally {
    await data.close()
  }
})
