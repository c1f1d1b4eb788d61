import type { LocalKind } from '../../../compiler/ir/types.js'
import type { Kernel } from './call.js'
import * as attention from './kernels/attention.js'
import * as losses from './kernels/losses.js'
import * as norms from './kernels/norms.js'
import * as products from './kernels/products.js'
import * as rows from './kernels/rows.js'
import * as streamed from './kernels/streamed.js'
import * as tokens from './kernels/tokens.js'
import * as update from './kernels/update.js'

/** A kernel for every operation of one rank, composed of tfjs ones: a missing one does not compile. */
export const kernels: { readonly [K in LocalKind]: Kernel<K> } = {
  ...tokens,
  ...products,
  ...norms,
  ...attention,
  ...rows,
  ...losses,
  ...streamed,
  ...update,
}
