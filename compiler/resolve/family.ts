import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import type { Block, Value } from '../../grammar/ast.js'
import { kindNamed } from '../../grammar/schema/vocabulary.js'
import { applyBody } from './apply.js'
import { type Body, checkHeader, type Layer, readBody, type Setting } from './edits.js'
import { type ExperimentDefinition, namesOf } from './modules.js'
import type { Report } from './report.js'
import { copyNode, type Node, newNode } from './tree.js'

/** An experiment with everything its parents and its own body say, and the variants that it has. */
export interface Tree {
  readonly root: Node
  readonly header: Span
  /** By name, in order: variants and grids, inherited ones first. */
  readonly variants: ReadonlyMap<string, VariantSource>
  /** How many bodies made it: 1 without a parent. */
  readonly depth: number
  /** Where a chain of parents broke off: what seems missing may be there. */
  readonly broken: boolean
  /** Whether a variant or grid of a name, its own or a parent's, may have been lost to a fault. */
  readonly mayHaveLost: (variant: string) => boolean
  /** True where one of the bodies has a fault of its own. */
  readonly faulty: boolean
}

export interface VariantSource {
  readonly name: string
  readonly what: 'variant' | 'grid'
  readonly block: Block
  readonly body: Body
}

/** One variant to be built: bodies on top of the experiment. */
export interface VariantPlan {
  readonly name: string
  readonly bodies: readonly Body[]
  readonly block: Block | null
  readonly grid: { readonly name: string; readonly point: Readonly<Record<string, string>> } | null
  /** Built only for what else is wrong with it. */
  readonly faulty: boolean
}

/** Names in a table of results that are no variant's to take, with what they stand for. */
const reservedVariants: ReadonlyMap<string, string> = new Map([
  ['full', '`full` is the experiment without edits'],
  ['untrained', '`untrained` is the model before training, a row of each table of results'],
])

/** Parents of parents, so that following them has an end. */
const deepest = 100
const setLayer = 900
const overLayer = 1000
const variantLayer = 1001

/** Puts the bodies of an experiment and its parents on top of each other. */
export function treeMaker(report: Report, textOf: (value: Value, file: string) => string) {
  const trees = new Map<Block, Tree>()
  const open: ExperimentDefinition[] = []

  const treeOf = (definition: ExperimentDefinition): Tree => {
    const known = trees.get(definition.block)
    if (known !== undefined) return known
    open.push(definition)
    const tree = make(definition)
    open.pop()
    trees.set(definition.block, tree)
    return tree
  }

  const make = (definition: ExperimentDefinition): Tree => {
    const { block, module } = definition
    const kind = kindNamed('experiment')
    const parent = parentOf(definition)
    const before = report.errors
    const broken = parent === 'broken' || block.poisoned || parent?.broken === true
    const base = parent === null || parent === 'broken' ? null : parent
    const root: Node =
      base === null ? newNode(kind, kind.types.get('experiment')!, '', null) : copyNode(base.root)
    if (broken) root.incomplete = true
    // A description is of one experiment, not of its children.
    root.settings.delete('description')
    const layer: Layer = { index: base?.depth ?? 0, what: 'experiment', name: definition.name, module }
    if (!block.poisoned) checkHeader(block, kind, report)
    const body = readBody(block.body, kind, layer, block.incomplete, report)
    const inherited = new Map(base?.variants ?? [])
    const mayHaveLost = (name: string): boolean =>
      broken ||
      body.incomplete ||
      body.lostVariants.some((lost) => lost === '' || lost === name) ||
      base?.mayHaveLost(name) === true
    const kept = dropVariants(body, inherited, mayHaveLost, report)
    checkInheritedEdits(kept, inherited, report)
    applyBody(root, kept, report)
    const variants = inherited
    const seen = new Map<string, Span>()
    for (const own of body.variants) {
      const name = own.name!.text
      const earlier = seen.get(name)
      if (earlier !== undefined) {
        report.give(
          'DINO0306',
          own.headerSpan,
          { path: `ablation.${name}` },
          {
            label: 'opened again',
            labels: [{ span: earlier, message: 'here before' }],
          },
        )
        continue
      }
      seen.set(name, own.headerSpan)
      const dropped = body.drops.find(
        (d) => d.path.length === 2 && d.path[0]!.text === 'ablation' && d.path[1]!.text === name,
      )
      if (dropped !== undefined)
        report.give(
          'DINO0309',
          own.headerSpan.start > dropped.at.start ? own.headerSpan : dropped.at,
          {
            path: `ablation.${name}`,
            dropped: `ablation.${name}`,
          },
          {
            labels: [
              {
                span: own.headerSpan.start > dropped.at.start ? dropped.at : own.headerSpan,
                message: 'here before',
              },
            ],
          },
        )
      const reserved = reservedVariants.get(name)
      if (reserved !== undefined) {
        report.give(
          'DINO0318',
          own.name!.span,
          { name },
          {
            label: 'taken',
            notes: [reserved],
            help: ['give the variant another name'],
          },
        )
        continue
      }
      const what = own.keyword.text as 'variant' | 'grid'
      const variantBody = readBody(
        own.body,
        kind,
        { index: variantLayer, what, name, module },
        own.incomplete,
        report,
      )
      for (const nested of variantBody.variants)
        report.give('DINO0312', nested.keyword.span, {
          kind: nested.keyword.text,
          place: "inside an experiment's `ablation`",
          where: `inside \`${what}\``,
        })
      variants.set(name, { name, what, block: own, body: variantBody })
    }
    return {
      root,
      header: block.headerSpan,
      variants,
      depth: (base?.depth ?? 0) + 1,
      broken,
      mayHaveLost,
      faulty: broken || base?.faulty === true || report.errors > before,
    }
  }

  const parentOf = (definition: ExperimentDefinition): Tree | 'broken' | null => {
    const path = definition.block.extends
    if (path === null) return definition.block.poisoned ? 'broken' : null
    const name = path.names[0]!
    const found = definition.module.names.get(name.text)
    if (found === undefined || path.names.length > 1) {
      if (found === undefined && definition.module.source.incomplete) return 'broken'
      report.give(
        'DINO0204',
        path.span,
        { name: path.names.map((n) => n.text).join('.') },
        {
          label: 'unknown',
          notes: path.names.length > 1 ? ['only an experiment can be extended, not a variant'] : [],
          help: didYouMean(name.text, others(definition)),
        },
      )
      return 'broken'
    }
    if (found.kind === 'silenced') return 'broken'
    if (found.kind !== 'experiment') {
      report.give('DINO0226', path.span, {
        name: name.text,
        expected: 'an experiment',
        found: `a ${found.kind}`,
      })
      return 'broken'
    }
    const at = open.indexOf(found)
    if (at >= 0) {
      const cycle = [...open.slice(at).map((d) => d.name), found.name]
      report.give('DINO0205', path.span, { cycle }, { label: 'closes the circle' })
      return 'broken'
    }
    const parent = open.length < deepest ? treeOf(found) : null
    if (parent !== null && parent.depth < deepest) return parent
    report.give('DINO0118', path.span, { what: 'experiments that extend one another', deepest })
    return 'broken'
  }

  /** The tree with `--set` on top. */
  const withSettings = (tree: Tree, body: Body | null): Tree => {
    if (body === null) return tree
    const root = copyNode(tree.root)
    const before = report.errors
    applyBody(root, { ...body, layer: { ...body.layer, index: setLayer } }, report)
    return { ...tree, root, faulty: tree.faulty || report.errors > before }
  }

  /** The variants of an experiment, grids multiplied out; `full` first. */
  const plansOf = (tree: Tree, experiment: string): VariantPlan[] => {
    const plans: VariantPlan[] = [{ name: 'full', bodies: [], block: null, grid: null, faulty: false }]
    for (const source of tree.variants.values()) {
      if (source.what === 'variant') {
        plans.push({
          name: source.name,
          bodies: [source.body],
          block: source.block,
          grid: null,
          faulty: false,
        })
        continue
      }
      const below = overOf(source, tree, experiment)
      if (below === null) continue
      const { points, faulty } = pointsOf(source)
      for (const point of points) {
        const body: Body = { ...source.body, opens: [], drops: [], sets: point.sets }
        plans.push({
          name: `${source.name}[${point.label}]`,
          bodies: [...below, body],
          block: source.block,
          grid: { name: source.name, point: point.values },
          faulty,
        })
      }
    }
    return plans
  }

  const overOf = (source: VariantSource, tree: Tree, experiment: string): Body[] | null => {
    const over = source.block.over
    if (over === null) return []
    const name = over.names.map((n) => n.text).join('.')
    if (name === 'full') return []
    const below = tree.variants.get(name)
    if (below !== undefined && below.what === 'variant')
      return [{ ...below.body, layer: { ...below.body.layer, index: overLayer } }]
    if (tree.mayHaveLost(name)) return null
    const known = [...tree.variants.values()].filter((v) => v.what === 'variant').map((v) => v.name)
    report.give(
      'DINO0210',
      over.span,
      { name, experiment },
      { label: 'unknown', help: didYouMean(name, known) },
    )
    return null
  }

  const pointsOf = (source: VariantSource): { points: Point[]; faulty: boolean } => {
    const { body, block } = source
    let sound = true
    for (const open of body.opens) {
      sound = false
      report.give('DINO0321', open.at, { found: 'a block' }, { help: ['write `path = [first, second]`'] })
    }
    for (const drop of body.drops) {
      sound = false
      report.give('DINO0321', drop.at, { found: '`drop`' }, { help: ['use a variant, and `over` it'] })
    }
    const axes = body.sets.map((set) => {
      const listed = listOf(set.value, body.layer.module.params)
      return { path: set.path.map((n) => n.text), set, values: listed }
    })
    for (const axis of axes)
      if (axis.values.length === 0) {
        sound = false
        report.give('DINO0426', axis.set.at, { field: axis.path.join('.') }, { label: 'no values' })
      }
    const count = axes.reduce((product, axis) => product * axis.values.length, 1)
    if (count > 1000) {
      report.give(
        'DINO0514',
        block.headerSpan,
        { grid: source.name, points: count },
        {
          notes: [`${axes.map((a) => a.values.length).join(' x ')} = ${count}`],
          help: ['list fewer values, or split the grid'],
        },
      )
      return { points: [], faulty: true }
    }
    if (count === 0 || axes.length === 0) return { points: [], faulty: true }
    const names = shortNames(axes.map((a) => a.path))
    let points: Point[] = [{ sets: [], label: '', values: {} }]
    for (const [i, axis] of axes.entries())
      points = points.flatMap((point) =>
        axis.values.map((value) => {
          const text = textOf(value, axis.set.at.file)
          const label = `${names[i]}=${text}`
          return {
            sets: [...point.sets, { ...axis.set, value, at: value.span }],
            label: point.label === '' ? label : `${point.label},${label}`,
            values: { ...point.values, [axis.path.join('.')]: text },
          }
        }),
      )
    return { points, faulty: !sound }
  }

  return { treeOf, withSettings, plansOf }
}

interface Point {
  readonly sets: readonly Setting[]
  readonly label: string
  readonly values: Readonly<Record<string, string>>
}

function listOf(value: Value, params: ReadonlyMap<string, { readonly value: Value }>): readonly Value[] {
  if (value.kind === 'list') return value.items
  if (value.kind === 'group') return listOf(value.value, params)
  if (value.kind === 'path' && value.names.length === 1) {
    const param = params.get(value.names[0]!.text)
    if (param?.value.kind === 'list') return param.value.items
  }
  return [value]
}

/** The shortest ends of paths that tell them apart: `probability`, `ratio`. */
export function shortNames(paths: readonly (readonly string[])[]): string[] {
  return paths.map((path, i) => {
    for (let length = 1; length < path.length; length++) {
      const end = path.slice(-length).join('.')
      if (paths.every((other, j) => j === i || other.slice(-length).join('.') !== end)) return end
    }
    return path.join('.')
  })
}

/** Takes `drop ablation` and `drop ablation.NAME` out of a body and applies them to the inherited variants. */
function dropVariants(
  body: Body,
  inherited: Map<string, VariantSource>,
  mayHaveLost: (name: string) => boolean,
  report: Report,
): Body {
  const rest = body.drops.filter((drop) => {
    const [first, second] = drop.path
    if (first?.text !== 'ablation') return true
    if (drop.path.length === 1) {
      if (inherited.size === 0) return true
      inherited.clear()
      return false
    }
    if (drop.path.length !== 2) return true
    if (inherited.delete(second!.text)) return false
    if (
      second!.text === 'seeds' ||
      second!.text === 'primary' ||
      body.variants.some((v) => v.name?.text === second!.text)
    )
      return second!.text === 'seeds' || second!.text === 'primary'
    if (mayHaveLost(second!.text)) return false
    report.give(
      'DINO0211',
      drop.at,
      { path: `ablation.${second!.text}` },
      {
        help: didYouMean(second!.text, inherited.keys()),
      },
    )
    return false
  })
  // `drop ablation` also returns seeds and primary to their defaults.
  const whole = body.drops.find((d) => d.path.length === 1 && d.path[0]!.text === 'ablation')
  return { ...body, drops: whole !== undefined && !rest.includes(whole) ? [...rest, whole] : rest }
}

/** What a child drops, no inherited variant may edit. */
function checkInheritedEdits(body: Body, inherited: Map<string, VariantSource>, report: Report): void {
  for (const drop of body.drops) {
    const path = drop.path.map((n) => n.text)
    if (path[0] === 'ablation') continue
    for (const variant of [...inherited.values()]) {
      if (body.variants.some((v) => v.name?.text === variant.name)) continue
      const edits = [
        ...variant.body.opens.map((o) => o.path),
        ...variant.body.sets.map((s) => s.path.map((n) => n.text)),
        ...variant.body.drops.map((d) => d.path.map((n) => n.text)),
      ]
      if (!edits.some((edit) => path.every((part, i) => edit[i] === part))) continue
      inherited.delete(variant.name)
      report.give(
        'DINO0213',
        drop.at,
        { path: path.join('.'), name: variant.name, what: variant.what },
        {
          label: 'dropped here',
          labels: [
            { span: variant.block.headerSpan, message: `${variant.what} \`${variant.name}\` edits it` },
          ],
          help: [`also write \`drop ablation.${variant.name}\``],
        },
      )
    }
  }
}

/** What an experiment might have meant to extend. */
function* others({ module, name }: ExperimentDefinition): Generator<string> {
  for (const other of namesOf(module, 'experiment')) if (other !== name) yield other
}
