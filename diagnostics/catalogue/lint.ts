import { entry } from './entry.js'

/** DINO20xx: lints, and DINO0890. */
export const lint = {
  DINO0890: entry<{ what: string }>(
    'warning',
    'not executable in this version yet',
    ({ what }) => `${what} is checked and planned, but this version cannot execute it yet`,
  ),
  DINO2001: entry<{ path: string; why: string }>(
    'warning',
    'setting without effect',
    ({ path, why }) => `\`${path}\` has no effect: ${why}`,
  ),
  DINO2002: entry<{ name: string; field: string }>(
    'warning',
    'param that hides a word',
    ({ name, field }) => `param \`${name}\` hides the word \`${name}\` of \`${field}\``,
  ),
  DINO2003: entry<{ batch: number; what: string }>(
    'warning',
    'batch far from what the recipe was tuned for',
    ({ batch, what }) => `batch ${batch} is far below the 2048 to 3072 images that ${what} was tuned for`,
  ),
  DINO2004: entry<{ terms: readonly string[]; ranks: number }>(
    'note',
    'terms that depend on the number of ranks',
    ({ terms, ranks }) => `with ${ranks} ranks these see one rank only: ${terms.join(', ')}`,
  ),
  DINO2005: entry<{ rate: string }>(
    'warning',
    'distillation with stochastic depth',
    ({ rate }) => `the student of a frozen teacher trains with drop path ${rate}`,
  ),
  DINO2006: entry(
    'warning',
    'distillation with masked crops',
    () => 'the student of a frozen teacher sees masked crops',
  ),
  DINO2007: entry<{ head: string }>(
    'note',
    'head that no loss uses',
    ({ head }) => `head \`${head}\` is left out: no loss uses it`,
  ),
  DINO2008: entry<{ variant: string; same: string }>(
    'note',
    'variant equal to another',
    ({ variant, same }) => `\`${variant}\` is the same as \`${same}\` and is not run twice`,
  ),
  DINO2009: entry(
    'note',
    'masked crops without iBOT',
    () => 'without iBOT the global crops of the student stay masked, as in the reference',
  ),
  DINO2010: entry<{ path: string; over: string; phase: string; length: string }>(
    'note',
    'cut at the end of its phase',
    ({ path, over, phase, length }) =>
      `\`${path}\` lasts ${over} and is cut at the end of phase \`${phase}\` after ${length}`,
  ),
  DINO2011: entry<{ from: string; to: string; phase: string }>(
    'warning',
    'jump of the learning rate between phases',
    ({ from, to, phase }) => `lr jumps from ${from} to ${to} at the start of phase \`${phase}\``,
  ),
  DINO2012: entry<{ source: string; eval: string }>(
    'warning',
    'evaluation images among the training images',
    ({ source, eval: name }) =>
      `\`${source}\` trains the model and is what evaluation \`${name}\` is measured on`,
  ),
  DINO2013: entry(
    'note',
    'KoLeo sees the whole batch',
    () => 'with `semantics = global` the scope `rank` of KoLeo means the whole batch',
  ),
  DINO2014: entry<{ first: string; second: string; local: string }>(
    'warning',
    'nominal instead of effective chances of blur',
    ({ first, second, local }) =>
      `blur ${first}, ${second}, ${local} are the nominal chances of the reference's code, not those that it applies`,
  ),
  DINO2015: entry<{ field: string; reason: string }>(
    'warning',
    'field that should not be used any more',
    ({ field, reason }) => `\`${field}\` is out of use: ${reason}`,
  ),
  DINO2016: entry<{ name: string }>(
    'warning',
    'param that nothing uses',
    ({ name }) => `param \`${name}\` is not used`,
  ),
  DINO2017: entry<{ source: string; eval: string }>(
    'warning',
    'evaluation on the images it learns from',
    ({ source, eval: name }) => `evaluation \`${name}\` learns from and is measured on \`${source}\``,
  ),
} as const
