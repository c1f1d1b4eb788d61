import type { ResolvedExperiment } from '../resolved.js'
import { blame, type Rule } from './rule.js'

/** What the vocabulary has and this version can plan but not run. */
export function notYet(e: ResolvedExperiment): { path: string; what: string }[] {
  const found: { path: string; what: string }[] = []
  const add = (when: boolean, path: string, what: string) => {
    if (when) found.push({ path, what })
  }
  add(e.teacher.type === 'frozen', 'teacher', 'a frozen teacher')
  add(e.keep !== null, 'keep', 'a kept average')
  add(e.backbone.init !== null, 'backbone.init', 'starting from weights')
  add(e.masking !== null && !e.masking.apply, 'masking.apply', 'masks that only select patches')
  for (const [name, loss] of Object.entries(e.loss))
    add(loss.type === 'ibot' && loss.on === 'all_patches', `loss.${name}.on`, 'iBOT on all patches')
  for (const [name, evaluation] of Object.entries(e.eval))
    add(evaluation.type !== 'knn', `eval.${name}`, `a ${evaluation.type} evaluation`)
  for (const [name, picture] of Object.entries(e.visualize))
    add(true, `visualize.${name}`, `a ${picture.type} picture`)
  // Ranks of one machine share its memory; those of several, or a GPU each, are for the torch engine.
  const places = e.hardware.gpus !== null ? 'hardware.gpus' : 'hardware.nodes'
  add(
    e.hardware.ranks > 1 &&
      e.hardware.engine === 'local' &&
      (e.hardware.nodes !== null || e.hardware.gpus !== null),
    places,
    'ranks on several machines or GPUs',
  )
  add(e.hardware.engine === 'torchrun', 'hardware.engine', 'the torchrun engine')
  for (const [name, source] of Object.entries(e.sources)) {
    add(!executableSources.includes(source.type), `sources.${name}`, `a source of type ${source.type}`)
    add(source.channels !== 3, `sources.${name}.channels`, `images of ${source.channels} channels`)
  }
  for (const name of Object.keys(e.curations)) add(true, `curations.${name}`, 'a curation')
  return found
}

const executableSources: readonly string[] = ['folder', 'list', 'imagenet', 'idx', 'mnist']

/** DINO0890: a warning here, an error for whoever wants to run it. */
export const executable: Rule = (context) => {
  for (const { path, what } of notYet(context.e)) {
    const { at } = blame(context, [path, path.split('.').slice(0, 2).join('.')])
    context.report.giveOnce(`DINO0890 ${what}`, 'DINO0890', at, { what })
  }
}
