import { describe, expect, it } from 'vitest'
import { listed, resolveText, small } from './resolve-text.js'

const P = 'source p: folder { path = "p", split = hash(train: 80%, test: 20%) }\n'
/** Places in presets move: only the file is kept. */
const lines = (text: string) =>
  listed(resolveText(text)).map((l) => l.replace(/std\/dinov2\.dino:\d+:\d+/, 'std/dinov2.dino'))

/** One fault gives one diagnostic, and what depends on it stays silent. */
const cases: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'hed',
    'experiment a { backbone vit { size = small, patch = 14px }, hed dino { }, loss dino { }, schedule { batch = 1024 img, phase a { length = 5 steps, lr = 1e-3 } } }',
    ['error DINO0301 1:61 no block is called `hed` inside `experiment`'],
  ],
  [
    'phaze',
    'experiment a { backbone vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batch = 1024 img, phaze a { length = 5 steps, lr = 1e-3 } } }',
    ['error DINO0301 1:120 no block is called `phaze` inside `schedule`'],
  ],
  ['type', small('backbone resnet { depth = 50 }'), ['error DINO0304 3:10 no backbone is of type `resnet`']],
  [
    'teacher type',
    small('teacher emma { momentum = 0.9 }'),
    ['error DINO0304 3:9 no teacher is of type `emma`'],
  ],
  [
    'missing resembles',
    'experiment a { backbone vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batsh = 64 img, phase a { length = 5 steps, lr = 1e-3 } } }',
    ['error DINO0302 1:102 `schedule` has no field called `batsh`'],
  ],
  [
    'missing resembles2',
    'experiment a { backbon vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batch = 1024 img, phase a { lenght = 5 steps, lr = 1e-3 } } }',
    [
      'error DINO0301 1:16 no block is called `backbon` inside `experiment`',
      'error DINO0302 1:129 `phase a` has no field called `lenght`',
    ],
  ],
  [
    'parent fault',
    small('loss.koleo.weight = x') +
      'experiment b extends small { backbone.depth = 3 }\nexperiment c extends b { }',
    ['error DINO0417 3:21 `x` is neither a param nor a word that means something here'],
  ],
  [
    'bad source',
    `source a: foldr { path = "x" }\n${small('data { train = a.train }')}`,
    ['error DINO0304 1:11 no source is of type `foldr`'],
  ],
  [
    'bad source2',
    'source a: folder { pth = "x" }\n' +
      small('data { train = a.train }\neval knn { train = a.train, test = a.tset }'),
    ['error DINO0302 1:20 `source a` has no field called `pth`'],
  ],
  [
    'epoch bad',
    small('schedule.epoch = 1250'),
    ['error DINO0402 3:18 `schedule.epoch`: expected a time of training, found 1250 without a unit'],
  ],
  [
    'epoch of nothing',
    small('schedule.epoch = 0 steps'),
    ['error DINO0410 3:18 `schedule.epoch` must be above 0 steps, found 0 steps'],
  ],
  [
    'misspelt split',
    small(
      'eval knn { train = pics.train, test = pics.test }',
      'source pics: folder { path = "my pics", splitt = hash(train: 80%, test: 20%) }\n',
    ),
    ['error DINO0302 2:41 `source pics` has no field called `splitt`'],
  ],
  [
    'misspelt import',
    'import { vit_nanoo } from "std/dinov2.dino"\nexperiment a extends vit_nanoo { schedule { phase pretrain { length = 3 epochs } } }',
    ['error DINO0202 1:10 "std/dinov2.dino" does not define `vit_nanoo`'],
  ],
  [
    'broken import',
    'import { vit_nano from "std/dinov2.dino"\nexperiment a extends vit_nano { schedule { phase pretrain { length = 3 epochs } } }',
    ['error DINO0111 1:19 expected `,` or `}`, found `from`'],
  ],
  [
    'unknown parent',
    'experiment c extends vit_none { schedule { phase extra { length = 1 epoch } }, backbone vit { width = 10 } }',
    ['error DINO0204 1:22 no experiment is called `vit_none` here'],
  ],
  [
    'misspelt phase',
    'experiment a { backbone vit { size = small, patch = 14px }, head dino { }, loss dino { }, schedule { batch = 1024 img, phaze first { length = 5 steps, lr = 1e-3 }, phase second { length = 5 steps } } }',
    ['error DINO0301 1:120 no block is called `phaze` inside `schedule`'],
  ],
  [
    'reserved variant',
    small('ablation { variant untrained { loss.koleo.weight = 0.2 } }'),
    ['error DINO0318 3:20 `untrained` is defined twice in this file'],
  ],
  [
    'integer param with a fraction, used twice',
    small('ablation.seeds = [s]\nloss.koleo.weight = s', 'param s: integer = 1.5\n'),
    ['error DINO0413 2:20 `s` must be a whole number, found 1.5'],
  ],
  [
    'probability param, unused',
    `param r: probability = 150%\n${small('')}`,
    ['error DINO0410 1:24 `r` must be at least 0% and at most 100%, found 150%'],
  ],
  [
    'count param, unused',
    `param n: count = 1.5 img\n${small('')}`,
    ['error DINO0413 1:18 `n` must be a whole number, found 1.5 img'],
  ],
  [
    'batch bad',
    small('schedule { batch = 64, phase pretrain { lr = 1e-3 * sqrt(batch / 1024 img) } }'),
    ['error DINO0402 3:20 `schedule.batch`: expected a number of images, found 64 without a unit'],
  ],
  [
    'variant fault',
    small('ablation { variant a { loss.kolio.weight = 2 }, variant b { loss.koleo.weight = 0.2 } }'),
    ['error DINO0219 3:24 this experiment has no `loss.kolio`'],
  ],
  [
    'ranks',
    small('hardware { ranks = 2, nodes = 3 }'),
    ['error DINO0503 3:31 `hardware` has both `ranks` and `nodes`, which say the same thing'],
  ],
  [
    'grid path',
    small('ablation { grid g { loss.koleo.wieght = [0.1, 0.2] } }'),
    ['error DINO0302 3:32 `loss koleo` has no field called `wieght`'],
  ],
  [
    'loss type change',
    small('loss dino: koleo { weight = 0.5 }'),
    ['note DINO2007 std/dinov2.dino head `dino` is left out: no loss uses it'],
  ],
  [
    'block as value',
    small('crops.local = off'),
    ['error DINO0319 3:1 `crops.local` is a block, not a field'],
  ],
  [
    'cycle',
    'experiment a extends b { loss.x.weight = 1 }\nexperiment b extends c { }\nexperiment c extends a { }',
    ['error DINO0205 3:22 extends cycle: a -> b -> c -> a'],
  ],
  ['poisoned header', `${small('')}experiment two extends small { loss koleo { weight = 0.2 \n }\n}`, []],
  [
    'parse in phase',
    small('schedule { phase hires { length 10 steps } }'),
    ['error DINO0115 3:33 expected `=` after `length`, found a number `10`'],
  ],
  [
    'param unused + bad',
    `param x: number = "y"\n${small('')}`,
    ['error DINO0401 1:19 `x`: expected a number, found "y"'],
  ],
  ['unknown unit resembles', small('schedule.batch = 64 imgs'), ['error DINO0404 3:21 `imgs` is not a unit']],
  ['k unit', small('eval knn { train = p.train, test = p.test, k = 10k }', P), []],
  [
    'list for scalar',
    small('loss.koleo.weight = [0.1, 0.2]'),
    ['error DINO0401 3:21 `loss.koleo.weight`: expected a number, found a list'],
  ],
  [
    'range for scalar',
    small('loss.koleo.weight = 0.1..0.2'),
    ['error DINO0401 3:21 `loss.koleo.weight`: expected a number, found 0.1..0.2'],
  ],
  ['range ref', small('masking.ratio = r', 'param r: range = 10%..50%\n'), []],
  ['range min', small('masking.ratio = 5%..r.max', 'param r: range = 10%..50%\n'), []],
  ['switch', small('optimize.fuse = true'), ['error DINO0405 3:17 `optimize.fuse` does not accept `true`']],
  [
    'drop twice',
    small('drop loss.koleo\ndrop loss.koleo'),
    ['error DINO0305 4:1 `loss.koleo` is set twice in one body'],
  ],
  [
    'tied self unknown',
    small('head.other = tied(head.dino)'),
    ['note DINO2007 3:14 head `other` is left out: no loss uses it'],
  ],
  ['head dropped', small('drop head.ibot'), ['error DINO0208 3:1 this experiment has no head called `ibot`']],
  ['drop masking dino', small('drop masking\ndrop loss.ibot\ndrop head.ibot'), []],
  [
    'eval dup name',
    small(
      'eval knn { train = p.train, test = p.test }\neval knn: linear { train = p.train, test = p.test }',
      P,
    ),
    ['error DINO0306 5:1 `eval.knn` is opened twice in one body'],
  ],
  [
    'run unknown',
    small('teacher frozen { from = run(nobody) }\ndrop masking\nloss.ibot.on = all_patches'),
    ['error DINO0204 3:29 no experiment is called `nobody` here'],
  ],
  [
    'run variant unknown',
    small('ablation { variant a { loss.koleo.weight = 0.2 } }') +
      'experiment s extends small { teacher frozen { from = run(small.b) }\ndrop masking\nloss.ibot.on = all_patches\ndrop ablation }',
    ['error DINO0210 5:64 experiment `small` has no variant called `b`'],
  ],
  ['weird call', small('loss.dino.centering = sinkhorn(3)'), []],
  [
    'call in list',
    small('ablation.seeds = [0, run(x)]'),
    ['error DINO0406 3:22 no function is called `run` here'],
  ],
  [
    'where value switch',
    small('ablation { grid g where optimize.pack { optimize.fuse = [on, off] } }'),
    ['note DINO2008 3:12 `g[fuse=on]` is the same as `full` and is not run twice'],
  ],
  [
    'missing eval test',
    small('eval knn { train = p.train }', P),
    ['error DINO0310 4:1 `eval knn` needs `test`'],
  ],
  [
    'koleo crops first',
    small('loss.koleo.on = patches'),
    ['error DINO0405 3:17 `loss.koleo.on` does not accept `patches`'],
  ],
  [
    'size and inherited',
    small('backbone.size = tiny'),
    ['error DINO0405 3:17 `backbone.size` does not accept `tiny`'],
  ],
  [
    'neg',
    small('loss.koleo.weight = -1'),
    ['error DINO0410 3:21 `loss.koleo.weight` must be at least 0, found -1'],
  ],
  [
    'percent number',
    small('loss.koleo.weight = 10%'),
    ['error DINO0403 3:21 `loss.koleo.weight`: expected a number, found 10%'],
  ],
  [
    'frozen momentum',
    small(
      'teacher frozen { from = "t.safetensors", momentum = 0.9 }\ndrop masking\nloss.ibot.on = all_patches',
    ),
    ['error DINO0303 3:42 `teacher frozen` has no field called `momentum`: it belongs to `teacher ema`'],
  ],
  [
    'wrong place',
    `backbone vit { }\n${small('source x: folder { path = "x" }')}`,
    [
      'error DINO0312 1:1 `backbone` belongs inside an experiment, not at the top level of a file',
      'error DINO0312 4:1 `source` belongs at the top level of a file, not inside `experiment`',
    ],
  ],
  [
    'no name source',
    `source : folder { path = "x" }\n${small('')}`,
    ['error DINO0314 1:1 `source` needs a name: `source NAME { }`'],
  ],
  [
    'no type source',
    `source x { path = "x" }\n${small('data { train = x }')}`,
    ['error DINO0316 1:8 source `x` needs a type'],
  ],
  [
    'text param in number',
    small('loss.koleo.weight = w', 'param w: text = "x"\n'),
    ['error DINO0401 4:21 `loss.koleo.weight`: expected a number, found "x"'],
  ],
  [
    'import unused with error in it',
    `import { b } from "o.dino"\n${small('')}// --- o.dino\nexperiment b { }`,
    [],
  ],
  [
    'extends source',
    'source x: folder { path = "x" }\nexperiment a extends x { loss.foo.weight = 2 }',
    ['error DINO0226 2:22 expected an experiment, but `x` is a source'],
  ],
  [
    'phase after self',
    small('schedule.pretrain.after = pretrain'),
    ['error DINO0229 3:27 phase cycle: pretrain -> pretrain'],
  ],
  [
    'schedule over wrong unit',
    small('schedule.pretrain.lr = warmup(0 -> 1 over 10px) |> cosine(to: 0)'),
    ['error DINO0403 3:43 `schedule.pretrain.lr over`: expected a time of training, found 10px'],
  ],
  [
    'arrow',
    small('schedule.pretrain.lr = 1e-3 -> 0'),
    ['error DINO0401 3:24 `schedule.pretrain.lr`: expected a schedule, found a course `a -> b`'],
  ],
  ['pipes constants', small('schedule.pretrain.lr = constant(1e-3 over 2 epochs) |> cosine(to: 0)'), []],
  [
    'mix bad',
    small('data { train = mix(p.train: 30%, p.test: 80%) }', P),
    ['error DINO0517 4:16 the shares of the mix add up to 110%'],
  ],
  ['file()', small('data { train = q }', 'source q: folder { path = file("./imgs") }\n'), []],
  [
    'at metric',
    small('eval knn { train = p.train, test = p.test, k = [20] }\nablation.primary = eval.knn.top1', P),
    [],
  ],
  [
    'path too long',
    small('schedule.pretrain.lr.over = 3'),
    ['error DINO0110 3:22 expected a name after `.`, found the reserved word `over`'],
  ],
  [
    'experiment-level unknown path',
    small('foo.bar = 3'),
    ['error DINO0302 3:1 an experiment has no field called `foo`'],
  ],
  [
    'ablation primary no eval',
    small('ablation.primary = eval.knn.top1@20'),
    ['error DINO0215 3:20 this experiment has no evaluation called `knn`'],
  ],
]

describe('one fault, one diagnostic', () => {
  it.each(cases)('%s', (_, text, expected) => {
    expect(lines(text)).toEqual(expected)
  })
})
