import { describe, expect, it } from 'vitest'
import { provenanceText } from '../../compiler/plan/build-run-spec.js'
import { placeOf } from '../../runtime/provenance.js'
import { resolveText } from '../resolve/resolve-text.js'

const text = `import { vit_nano } from "std/dinov2.dino"
source a: folder {
  path = "pictures"
  split = hash(
    train: 80%,
    test: 20%
  )
}
experiment e extends vit_nano { data { train = a.train } }
`

describe('places in a run spec', () => {
  it('keep both ends of a value, over lines and on the command line', () => {
    const set = 'schedule.batch=32 img'
    const { resolved } = resolveText(text, { set: [set] }).experiments[0]!.variants[0]!
    const places = provenanceText(resolved)
    for (const path of ['sources.a.path', 'sources.a.split', 'schedule.batch']) {
      const { start: _, end: __, ...ends } = resolved.provenance[path]!.at!
      expect(placeOf(places, path)).toMatchObject(ends)
    }
    expect(placeOf(places, 'schedule.batch')).toMatchObject({
      file: `--set ${set}`,
      endColumn: set.length + 1,
    })
  })
  it('of a setting that has none are those of its block, and without an end one column wide', () => {
    expect(placeOf({ 'sources.a': 'x.dino:2:1' }, 'sources.a.labels.table')).toMatchObject({
      startLine: 2,
      endLine: 2,
      endColumn: 2,
    })
    expect(placeOf({}, 'sources.a')).toBeNull()
  })
})
