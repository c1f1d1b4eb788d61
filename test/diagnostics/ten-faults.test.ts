import { expect, test } from 'vitest'
import { checkFile } from '../../compiler/compile.js'
import { inOrder } from '../../diagnostics/order.js'

/** A file with many faults of different stages: each is reported once, on its line, and nothing else is. */
const text = `import { vit_nano, vit_micro } from "std/dinov2.dino"

source photos: folder { path = "photos }
source digits: mnist { }

experiment ten extends vit_nano {
  data { train = digits.trane }
  backbone vit { width = 96, depth = 4, heads = 3, patch = 7px }
  crops { local { count = 6, size = 33px } }
  masking block { probability = 150%, ratio = 10%..50% }
  head dino { prototpyes = 512 }
  head ibot { prototypes: 512 }
  loss dino { centering = sinkhorm(iterations: 3) }
  loss koleo { weight = }
  optimizer adamw { clip = 3.0, betas = [0.9, 0.999 }
  schedule { batch = 32 }
  eval knn { train = digits.train, test = digits.test, k = [1,, 10], every = 1 epoc }
  drop loss.kolea
  visualise pca { }
}

experimnt other extends ten { }
experiment last extends other { }
}
`

test('every fault once, on its line', () => {
  const host = { read: (path: string) => (path === 'ten.dino' ? text : null) }
  const { diagnostics } = checkFile('ten.dino', host, { set: [], params: {}, env: {} })
  expect(
    inOrder(diagnostics).map(({ code, primary, message }) => `${primary?.span.startLine} ${code} ${message}`),
  ).toMatchInlineSnapshot(`
    [
      "1 DINO0202 "std/dinov2.dino" does not define \`vit_micro\`",
      "3 DINO0002 this text is not closed on its line",
      "7 DINO0207 \`digits\` has no part called \`trane\`",
      "8 DINO0502 crop size 64 px is not a multiple of patch size 7 px",
      "9 DINO0502 crop size 33 px is not a multiple of patch size 7 px",
      "10 DINO0410 \`masking.probability\` must be at least 0% and at most 100%, found 150%",
      "11 DINO0302 \`head dino\` has no field called \`prototpyes\`",
      "12 DINO0115 expected \`=\` after \`prototypes\`, found \`:\`",
      "13 DINO0406 no function is called \`sinkhorm\` here",
      "14 DINO0103 expected a value after \`=\`, found \`}\`",
      "15 DINO0106 this \`[\` is not closed: a \`]\` is missing",
      "16 DINO0402 \`schedule.batch\`: expected a number of images, found 32 without a unit",
      "17 DINO0108 nothing stands before this comma",
      "17 DINO0404 \`epoc\` is not a unit",
      "18 DINO0211 cannot drop \`loss.kolea\`: it is not there",
      "19 DINO0301 no block is called \`visualise\` inside \`experiment\`",
      "22 DINO0301 no block is called \`experimnt\` at the top level of a file",
      "24 DINO0102 this \`}\` closes nothing",
    ]
  `)
})
