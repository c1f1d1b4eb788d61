import type { Span } from '../../diagnostics/diagnostic.js'
import { didYouMean } from '../../diagnostics/nearest.js'
import { camelCase } from '../../grammar/schema/types.js'
import { kindNamed } from '../../grammar/schema/vocabulary.js'
import { type BuildScope, buildFields, fieldScope, originOf, placeOf } from './build.js'
import { coerce } from './coerce.js'
import { evaluate } from './dyn.js'
import { buildPhases } from './phases.js'
import { derived, POISON, type Poison, whole } from './poison.js'
import type { Schedule } from './resolved.js'
import { type Node, newNode } from './tree.js'

/** Width, depth and heads of each named size (paper table 17; ViT-B has 12 blocks, the table's 18 is a misprint). */
export const sizes: Readonly<Record<string, { width: number; depth: number; heads: number }>> = {
  small: { width: 384, depth: 12, heads: 6 },
  base: { width: 768, depth: 12, heads: 12 },
  large: { width: 1024, depth: 24, heads: 16 },
  giant: { width: 1536, depth: 40, heads: 24 },
}

/** Chances of blur and solarize of first global, second global and local crops. */
const presets: Readonly<Record<string, { blur: readonly number[]; solarize: readonly number[] }>> = {
  released: { blur: [0, 0.9, 0.5], solarize: [0, 0.2, 0] },
  byol: { blur: [1, 0.1, 0.5], solarize: [0, 0.2, 0] },
}

type Fields = Record<string, unknown>

/**
 * The experiment with every default in its place, as plain data where poison stands for what is faulty. Which values
 * fit together is the business of the rules.
 */
export function completeExperiment(root: Node, scope: BuildScope, header: Span | null): Fields {
  const single = (name: string): Node => root.children.get(name) ?? defaultNode(name, name)
  const fields = (node: Node) => buildFields(node, scope)
  const present = (name: string): Node | null => root.children.get(name) ?? null

  // `batch` may stand in schedules, so it comes first.
  const scheduleNode = present('schedule')
  if (scheduleNode === null)
    missingBlock('`schedule`', 'schedule { batch = 64 img, phase pretrain { ... } }', root, header, scope)
  const schedule: Fields =
    scheduleNode === null ? { batch: POISON, epoch: POISON, micro_batch: POISON } : fields(scheduleNode)
  const inner: BuildScope = {
    ...scope,
    batch: schedule.batch === POISON ? undefined : (schedule.batch as number),
  }

  const backboneNode = present('backbone')
  if (backboneNode === null)
    missingBlock('`backbone`', 'backbone vit { size = small, patch = 14px }', root, header, scope)
  const backbone = buildBackbone(backboneNode, scope)

  const crops = single('crops')
  const group = (name: string): Fields =>
    fields(crops.children.get(name) ?? defaultNode(name, `crops.${name}`))
  const globalCrops = group('global')
  const localFields = group('local')
  const localCrops: Fields = {
    ...localFields,
    size: localFields.size ?? derived(() => nearestMultiple(96, whole(backbone.patch) as number)),
  }
  backbone.pos_grid ??= derived(() =>
    Math.max(1, Math.floor((whole(globalCrops.size) as number) / (whole(backbone.patch) as number))),
  )

  const teacherNode = single('teacher')
  const teacher = fields(teacherNode)
  const keepNode = present('keep')
  const keep = keepNode === null ? null : fields(keepNode)

  const phaseLost = scope.lost || scheduleNode?.incomplete === true || root.silenced.has('phase')
  const phases =
    scheduleNode === null
      ? POISON
      : buildPhases(
          scheduleNode,
          {
            resolution: globalCrops.size as number | Poison,
            localResolution: localCrops.size as number | Poison,
            momentum:
              teacherNode.block === null
                ? POISON
                : teacherNode.block.type === 'ema'
                  ? (teacher.momentum as Schedule | Poison)
                  : null,
            keepMomentum: keep === null ? null : (keep.momentum as Schedule | Poison),
            earlierLost: phaseLost,
          },
          inner,
        )
  if (Array.isArray(phases) && phases.length === 0 && scheduleNode !== null) {
    if (phaseLost) scope.report.errors++
    else
      missingBlock(
        'phase',
        'phase pretrain { length = 100 epochs, lr = ... }',
        scheduleNode,
        scheduleNode.at ?? header,
        scope,
      )
  }

  const optimizerNode = single('optimizer')
  const optimizer = fields(optimizerNode)
  optimizer.freeze_last_layer ??= derived(() =>
    whole(schedule.epoch) === null ? { value: 0, unit: 'step' } : { value: 1, unit: 'epoch' },
  )

  const hardware = fields(single('hardware'))
  const ranks = derived(() => {
    if (whole(hardware.ranks) !== undefined) return hardware.ranks
    const [nodes, gpus] = [whole(hardware.nodes), whole(hardware.gpus)] as (number | null | undefined)[]
    return (nodes ?? 1) * (gpus ?? 1)
  })
  if (hardware.ranks === undefined)
    copyOrigin(scope, hardware.gpus == null ? 'hardware.nodes' : 'hardware.gpus', 'hardware.ranks')
  const optimize = fields(single('optimize'))
  const heads = buildHeads(root, inner)
  const ablation = fields(single('ablation'))
  const of = keep === null ? 'teacher' : 'keep'

  return {
    formatVersion: 1,
    description: fields(root).description ?? null,
    data: present('data') === null ? null : camel(fields(present('data')!)),
    backbone: (backboneNode?.block ?? null) === null ? POISON : { type: 'vit', ...camel(backbone) },
    teacher: typed(teacherNode, teacher),
    keep: keep === null ? null : typed(keepNode!, keep),
    crops: { global: camel(globalCrops), local: camel(localCrops) },
    augment: buildAugment(single('augment'), scope),
    masking: present('masking') === null ? null : buildMasking(present('masking')!, scope),
    head: heads,
    loss: named(root, 'loss', (node) => {
      const own = fields(node)
      if (node.block?.fields.has('head')) {
        own.head ??= node.name
        if (scope.origins.get(`${node.path}.head`)?.at === null)
          scope.origins.set(`${node.path}.head`, {
            at: node.at,
            overrode: [],
            layer: node.layer,
            dropped: false,
          })
      }
      return typed(node, own)
    }),
    optimizer: typed(optimizerNode, optimizer),
    schedule: {
      batch: schedule.batch,
      microBatch: schedule.micro_batch,
      epoch: schedule.epoch,
      phases,
    },
    eval: named(root, 'eval', (node) => {
      const own = fields(node)
      const retrieval = node.block?.type === 'retrieval'
      return typed(node, {
        ...(retrieval ? { train: null } : {}),
        ...own,
        of: own.of ?? of,
        resolution: own.resolution ?? globalCrops.size,
        every: own.every ?? null,
      })
    }),
    visualize: named(root, 'visualize', (node) => {
      const own = fields(node)
      return typed(node, {
        ...own,
        images: own.images ?? null,
        of: own.of ?? of,
        resolution: own.resolution ?? globalCrops.size,
      })
    }),
    optimize: { ...camel(optimize), memoryBudget: optimize.memory_budget ?? hardware.memory ?? null },
    hardware: {
      ...camel(hardware),
      threads: hardware.threads ?? null,
      loaders: hardware.loaders ?? null,
      memory: hardware.memory ?? null,
      ranks,
      shard: hardware.shard ?? derived(() => ((whole(ranks) as number) > 1 ? 'fsdp' : 'none')),
      groups: derived(() =>
        whole(hardware.semantics) === 'global'
          ? (hardware.groups ?? whole(ranks))
          : (hardware.groups ?? null),
      ),
      nodes: hardware.nodes ?? null,
      gpus: hardware.gpus ?? null,
    },
    checkpoint: camel(fields(single('checkpoint'))),
    report: (() => {
      const own = camel(fields(single('report')))
      return { ...own, title: own.title ?? null }
    })(),
    seeds: ablation.seeds,
    primary: ablation.primary,
  }
}

function defaultNode(kind: string, path: string): Node {
  const def = kindNamed(kind)
  return newNode(def, def.types.get(def.defaultType!)!, path, null)
}

function camel(fields: Fields): Fields {
  return Object.fromEntries(Object.keys(fields).map((name) => [camelCase(name), fields[name]]))
}

function typed(node: Node, fields: Fields): unknown {
  return node.block === null ? POISON : { type: node.block.type, ...camel(fields) }
}

function named(root: Node, kind: string, build: (node: Node) => unknown): Fields {
  const found: Fields = {}
  for (const node of root.children.values()) if (node.kind.kind === kind) found[node.name!] = build(node)
  return found
}

function copyOrigin(scope: BuildScope, from: string, to: string): void {
  const origin = scope.origins.get(from)
  if (origin !== undefined) scope.origins.set(to, origin)
}

function missingBlock(what: string, example: string, node: Node, at: Span | null, scope: BuildScope): void {
  scope.report.errors++
  if (scope.lost || node.incomplete || node.silenced.has(what.replaceAll('`', ''))) return
  const where = node.path === '' ? 'this experiment' : `\`${node.path}\``
  scope.report.giveOnce(
    `DINO0311 ${what} ${at?.file}:${at?.start}`,
    'DINO0311',
    at,
    { what, where },
    { label: 'missing here', help: [`write \`${example}\``] },
  )
}

/** The multiple of `unit` nearest to `value`, at least one. */
export function nearestMultiple(value: number, unit: number): number {
  return Math.max(1, Math.round(value / unit)) * unit
}

function buildBackbone(node: Node | null, scope: BuildScope): Fields {
  if (node === null || node.block === null)
    return { width: POISON, depth: POISON, heads: POISON, patch: POISON, pos_grid: POISON, rest: POISON }
  const { size, ...fields } = buildFields(node, scope)
  const origin = (name: string) => scope.origins.get(`backbone.${name}`)
  const parts = ['width', 'depth', 'heads'] as const
  if (typeof size === 'string' || size === POISON) {
    for (const part of parts) {
      fields[part] = size === POISON ? POISON : sizes[size as string]![part]
      copyOrigin(scope, 'backbone.size', `backbone.${part}`)
    }
  } else {
    const missing = parts.filter((part) => fields[part] === undefined)
    for (const part of missing) fields[part] = POISON
    const silent = missing.some((part) => node.silenced.has(part)) || node.silenced.has('size')
    if (missing.length > 0) {
      scope.report.errors++
      if (!silent && !node.incomplete && !scope.lost) {
        const chosen = parts.find((part) => origin(part)?.at !== null && origin(part)?.at !== undefined)
        const all = missing.length === 3
        const place = placeOf(node) ?? scope.header
        scope.report.giveOnce(
          `DINO0310 backbone ${place?.file}:${place?.start}`,
          'DINO0310',
          (chosen === undefined ? undefined : origin(chosen)?.at) ?? place,
          { field: all ? 'size' : missing.join('`, `'), block: '`backbone vit`' },
          {
            label: all ? 'how large is it?' : `without ${missing.join(' and ')}`,
            help: [
              all
                ? 'write `size = small`, or `width = 384, depth = 12, heads = 6`'
                : `write \`width\`, \`depth\` and \`heads\` together: setting one of them removes an inherited \`size\``,
            ],
          },
        )
      }
    }
  }
  const init = node.children.get('init')
  return { ...fields, init: init === undefined ? null : camel(buildFields(init, scope)) }
}

function buildMasking(node: Node, scope: BuildScope): unknown {
  if (node.block === null) return POISON
  const block = kindNamed('masking').types.get('block')!
  const fields = camel(buildFields(node, scope))
  return {
    type: node.block.type,
    ...fields,
    aspect: fields.aspect ?? block.fields.get('aspect')!.default,
    minPatches: fields.minPatches ?? block.fields.get('min_patches')!.default,
  }
}

function buildAugment(node: Node, scope: BuildScope): unknown {
  const own = buildFields(node, scope)
  const inside = (name: string) => {
    const child = node.children.get(name) ?? defaultNode(name, `augment.${name}`)
    return buildFields(child, scope)
  }
  const jitter = inside('jitter')
  const blur = inside('blur')
  const solarize = inside('solarize')
  const normalize = inside('normalize')
  const preset = own.preset === POISON ? null : presets[own.preset as string]!
  const chances = (fields: Fields, which: 'blur' | 'solarize') =>
    (['first_global', 'second_global', 'local'] as const).map((view, i) => {
      if (fields[view] === undefined) copyOrigin(scope, 'augment.preset', `augment.${which}.${view}`)
      return fields[view] ?? (preset === null ? POISON : preset[which][i])
    })
  return {
    aspect: own.aspect,
    flip: own.flip,
    jitter: camel(jitter),
    grayscale: own.grayscale,
    blur: { probability: chances(blur, 'blur'), kernel: blur.kernel, sigma: blur.sigma },
    solarize: { probability: chances(solarize, 'solarize'), threshold: solarize.threshold },
    mean: normalize.mean,
    std: normalize.std,
  }
}

/** Every head, also those that no loss uses; a tied one leads to a head that is there and not tied itself. */
function buildHeads(root: Node, scope: BuildScope): Fields {
  const nodes = [...root.children.values()].filter((c) => c.kind.kind === 'head')
  const heads: Fields = {}
  for (const node of nodes) {
    if (node.value === null) {
      heads[node.name!] = typed(node, buildFields(node, scope))
      continue
    }
    const entry = node.value
    const inner = fieldScope(entry, node.path, { ...scope, batch: null })
    scope.origins.set(node.path, originOf(entry))
    const before = scope.report.errors
    const value = coerce(evaluate(entry.value, inner), node.kind.value!, inner)
    heads[node.name!] =
      value === POISON ? POISON : checkTied(value as { to: string }, node, nodes, root, scope)
    if (value === POISON && scope.report.errors === before) scope.report.errors++
  }
  return heads
}

function checkTied(
  value: { to: string },
  node: Node,
  nodes: readonly Node[],
  root: Node,
  scope: BuildScope,
): unknown {
  const target = nodes.find((n) => n.name === value.to)
  const at = node.value!.at
  if (target === undefined) {
    if (root.incomplete || root.silenced.has('head')) scope.report.errors++
    else
      scope.report.give(
        'DINO0209',
        at,
        { name: value.to, head: node.name! },
        {
          label: 'no such head',
          help: didYouMean(
            value.to,
            nodes.map((n) => n.name!).filter((n) => n !== node.name),
          ),
        },
      )
    return POISON
  }
  if (target.value !== null) {
    scope.report.give(
      'DINO0225',
      at,
      { head: node.name!, to: value.to },
      {
        label: 'tied to a tied head',
        labels: target === node ? [] : [{ span: target.value.at, message: `\`${value.to}\` is tied here` }],
        help: ['tie both to the head whose weights they share'],
      },
    )
    return POISON
  }
  return value
}
