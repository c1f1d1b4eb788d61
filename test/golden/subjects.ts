import type { Device } from '../../runtime/devices/device.js'
import { checkDistillStep } from './cases/distill.js'
import { checkDropPath } from './cases/drop-path.js'
import { checkHead } from './cases/head.js'
import { checkKnn } from './cases/knn.js'
import { checkDinoLoss, checkIbotLoss, checkKoleoLoss } from './cases/losses.js'
import { checkMasking } from './cases/masking.js'
import { checkNested } from './cases/nested.js'
import { checkSchedules } from './cases/schedules.js'
import { checkStep } from './cases/step.js'
import { checkVit } from './cases/vit.js'
import { type Fixture, type Json, record } from './fixture.js'
import type { Report } from './report.js'

export type Check = (fixture: Fixture, device: Device, report: Report) => Promise<void>

/** Values of an option that are read or do not matter here; null: all of them. */
type Options = Readonly<Record<string, readonly unknown[] | null>>

/** One thing of the reference that can be checked. What a fixture is about, it says itself: by `covers` and by what it holds. */
interface Subject {
  readonly covers: RegExp
  readonly holds?: (fixture: Fixture) => boolean
  readonly check: Check | 'shared data of other fixtures'
  readonly options: Options
  /** Options within options: `teacher_backbone`. */
  readonly within?: Readonly<Record<string, Options>>
}

/** Options of these names, whatever their values. */
const any = (names: string): Options => Object.fromEntries(names.split(' ').map((name) => [name, null]))

const backbone: Options = {
  ...any('img_size patch_size embed_dim dim depth num_heads num_register_tokens mlp_ratio ffn_hidden'),
  ...any('init_values layerscale interpolate_offset interpolate_antialias block_chunks attention'),
  ffn_layer: ['mlp', 'swiglu', 'swiglufused'],
  ffn: ['Mlp', 'mlp', 'swiglu', 'swiglufused'],
  ...{ qkv_bias: [true], proj_bias: [true], ffn_bias: [true] },
  ...{ layer_norm_eps: [1e-6], dtype: ['float32'], mode: ['eval', 'train'], drop_path_rate: [0] },
}
const weights = any('weights_file weights_prefix')
const head: Options = {
  ...any('in_dim out_dim nlayers hidden_dim bottleneck_dim mlp_bias'),
  ...{ activation: ['gelu (erf)'], normalize_eps: [1e-12], weight_norm_dim: [0] },
}
const loss: Options = {
  ...any('out_dim patch_out_dim student_temp teacher_temp center_momentum sinkhorn_iterations'),
  dtype: ['float32'],
}
const step: Options = {
  ...any('common_file separate_head dino_loss_weight koleo_loss_weight ibot_loss_weight'),
  ...any('dino_head_prototypes ibot_head_prototypes clip_grad adamw layerwise_decay patch_embed_lr_mult'),
  ...any('schedule_values_per_step step_values student inputs'),
  ...any('teacher_backbone teacher_dino_head teacher_ibot_head'),
  ...{ centering: ['centering', 'sinkhorn_knopp'], drop_path_rate: [0] },
}
const training = /ssl_meta_arch\.py/

/** The first that fits: whole steps cover the parts that others are about. */
const subjects: readonly Subject[] = [
  {
    covers: training,
    holds: ({ config }) => config.teacher_backbone !== undefined,
    check: checkDistillStep,
    options: step,
    within: { teacher_backbone: backbone, teacher_dino_head: head, teacher_ibot_head: head },
  },
  { covers: training, holds: ({ json }) => json.trajectory !== undefined, check: checkStep, options: step },
  {
    covers: training,
    check: 'shared data of other fixtures',
    options: any('vit heads crops'),
    within: { vit: backbone },
  },
  {
    covers: /forward_features_list/,
    check: checkNested,
    options: { ...backbone, ...weights, masks: ['[masks, None]'] },
  },
  { covers: /vision_transformer\.py/, check: checkVit, options: backbone },
  {
    covers: /layers\/(block|drop_path)\.py/,
    check: checkDropPath,
    options: { ...backbone, ...weights, ...any('drop_path residual_scale subset_size') },
  },
  { covers: /dino_head\.py/, check: checkHead, options: head },
  { covers: /dino_clstoken_loss\.py/, check: checkDinoLoss, options: { ...loss, ...any('n_local B') } },
  {
    covers: /ibot_patch_loss\.py/,
    check: checkIbotLoss,
    options: { ...loss, ...any('n_global_crops_in_batch n_tokens n_masked_patches') },
  },
  {
    covers: /koleo_loss\.py/,
    check: checkKoleoLoss,
    options: { ...any('B D'), eps: [1e-8], pairwise_distance_eps: [1e-8] },
  },
  {
    covers: /data\/(masking|collate)\.py/,
    check: checkMasking,
    options: {
      ...any('samples n_local n_tokens mask_ratio_min_max mask_sample_probability max_num_patches'),
      ...any('input_size min_num_patches min_aspect max_aspect draws_per_target'),
      attempts_per_block: [10],
    },
  },
  {
    covers: /param_groups|CosineScheduler|build_schedulers/,
    check: checkSchedules,
    options: any(
      'vit layerwise_decay patch_embed_lr_mult epoch_length world_size batch_size_per_gpu optim teacher',
    ),
    within: { vit: backbone, optim: { ...optimizerOptions(), scaling_rule: ['sqrt_wrt_1024'] } },
  },
  { covers: /eval\/knn\.py/, check: checkKnn, options: any('nb_knn temperature num_classes max_k') },
]

function optimizerOptions(): Options {
  return any(
    'epochs weight_decay weight_decay_end base_lr lr warmup_epochs min_lr clip_grad freeze_last_layer_epochs ' +
      'patch_embed_lr_mult layerwise_decay adamw_beta1 adamw_beta2',
  )
}

/** How a fixture is checked, or why it is not. */
export function checkFor(fixture: Fixture): Check | string {
  const covered = Array.isArray(fixture.json.covers) ? fixture.json.covers.map(String) : []
  if (covered.length === 0) return 'not supported: it does not say what it `covers`'
  const subject = subjects.find(
    ({ covers, holds }) => covers.test(covered.join('\n')) && (holds?.(fixture) ?? true),
  )
  if (subject === undefined) return `not supported: ${covered[0]}`
  const { options, within = {}, check } = subject
  const unknown = [
    ...unknownOptions(fixture.config, options, ''),
    ...Object.entries(within).flatMap(([name, inner]) =>
      unknownOptions(record(fixture.config[name]), inner, `${name}.`),
    ),
  ]
  return unknown.length === 0 ? check : `not supported: ${unknown.join(', ')}`
}

function unknownOptions(config: Json, options: Options, prefix: string): string[] {
  return Object.entries(config)
    .filter(([name, value]) => {
      const values = Object.hasOwn(options, name) ? options[name] : []
      return values !== null && !values?.includes(value)
    })
    .map(([name, value]) => `${prefix}${name} = ${JSON.stringify(value)}`)
}
