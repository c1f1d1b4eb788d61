import { backboneParameters } from '../../../compiler/lower/parameters.js'
import type { Device } from '../../../runtime/devices/device.js'
import { load } from '../execute.js'
import { type Fixture, get } from '../fixture.js'
import type { Report } from '../report.js'
import { addGradients, backboneOf, type Forward, openForward, plainName, weightsOf } from './forward.js'

/** 02: global and local crops in one packed call, against separate ones; gradients through the packed call. */
export async function checkNested(fixture: Fixture, device: Device, report: Report): Promise<void> {
  const file = String(fixture.config.weights_file)
  const weights = weightsOf(fixture.other(file), String(fixture.config.weights_prefix ?? 'weights.'))
  const backbone = backboneOf({ ...(fixture.otherJson(file).config as object), ...fixture.config })
  const state = (name: string) => weights.get(name.replace('student.backbone.', ''))?.data
  const [global, local] = [get(fixture.tensors, 'global_crops'), get(fixture.tensors, 'local_crops')]
  const crops = { global: global.data, local: local.data, mask: get(fixture.tensors, 'masks').data }

  for (const form of ['packed', 'separate'] as const) {
    const module = openForward(backbone)
    const views: Record<string, Forward> = {
      global: module.forward(global, 'global', true),
      local: module.forward(local, 'local', false),
    }
    for (const [group, seen] of Object.entries(views)) {
      module.entry.sink('output', `${group}.x_norm_clstoken`, seen.cls())
      module.entry.sink('output', `${group}.x_norm_patchtokens`, seen.patchTokens())
      if (backbone.registers > 0) module.entry.sink('output', `${group}.x_norm_regtokens`, seen.registers())
    }
    const cotangents = [...fixture.tensors.values()].filter((t) => t.name.startsWith('cotangent.'))
    const graded = form === 'packed' && [...fixture.tensors.keys()].some((name) => name.startsWith('grad.'))
    if (graded)
      addGradients(
        module,
        cotangents.map(({ name }) => {
          const [group = '', part = ''] = name.slice('cotangent.'.length).split('_')
          const seen = views[group] as Forward
          const y = part === 'cls' ? seen.cls() : part === 'reg' ? seen.registers() : seen.patchTokens()
          return { y, cotangent: name }
        }),
        backboneParameters(backbone).map((p) => p.name),
        [],
      )
    const run = await load(device, module.finish(), state, { pack: form === 'packed' })
    await run.run({ ...crops, ...Object.fromEntries(cotangents.map((t) => [t.name, t.data])) })
    for (const tensor of fixture.tensors.values()) {
      if (tensor.role !== 'expected') continue
      if (tensor.name.startsWith(`${form}.`))
        report.tensor(tensor, await run.output(tensor.name.slice(form.length + 1)))
      else if (graded && tensor.name.startsWith('grad.'))
        report.tensor(tensor, await run.output(`grad.${plainName(tensor.name.slice('grad.'.length))}`))
    }
    await run.close()
  }
}
