import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Handlebars from 'handlebars'
import { packageRoot } from '../../diagnostics/package-root.js'

/** The vocabulary as docs/language.md shows it, as text already: the template decides nothing. */
export interface ReferenceModel {
  readonly groups: readonly { readonly title: string; readonly kinds: readonly KindModel[] }[]
  readonly units: readonly { readonly name: string; readonly meaning: string }[]
  readonly referenceNames: readonly { readonly name: string; readonly path: string }[]
}
interface KindModel {
  readonly title: string
  readonly description: string
  readonly types: readonly TypeModel[]
}
interface TypeModel {
  /** `loss koleo`; null where the kind has one type and its own title says it all. */
  readonly title: string | null
  readonly description: string
  readonly fields: readonly FieldModel[]
  readonly exclusive: string | null
  readonly metrics: string | null
  readonly splits: string | null
}
interface FieldModel {
  readonly name: string
  readonly type: string
  readonly initial: string
  readonly description: string
  readonly source: string
}

/** docs/language.md: what has to be said of the language, and every block and field of it. */
export function languageReference(model: ReferenceModel): string {
  const path = join(packageRoot(), 'compiler', 'codegen', 'templates', 'language.md.hbs')
  const template = Handlebars.compile<ReferenceModel>(readFileSync(path, 'utf8'), {
    noEscape: true,
    strict: true,
  })
  return template(model)
}
