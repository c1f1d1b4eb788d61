import { imagesOf, refuseBy } from './folder.js'
import type { FoundImages, SourceContext } from './source.js'

/** The folders of ImageNet's own download: `train/<class>/*.JPEG` and `val/<class>/*.JPEG`; splits as published. */
export function readImagenet(context: SourceContext): FoundImages {
  refuseBy(context)
  const root = context.spec.path!
  const names = imagesOf(context, root).names.filter((name) => /^(train|val|test)\//.test(name))
  const parts = names.map((name) => name.split('/'))
  return {
    names,
    root,
    labels: parts.map((part) => (part.length > 2 ? part[1]! : null)),
    groups: null,
    missing: [],
    published: parts.map((part) => part[0]!),
    packed: null,
  }
}
