// Rational approximations and coefficients of fdlibm's s_erf.c (Sun Microsystems 1993, freely usable): below 1 ulp.
const near = [
  [
    0.12837916709551256, -0.3250421072470015, -0.02848174957559851, -0.005770270296489442,
    -2.3763016656650163e-5,
  ],
  [
    1, 0.39791722395915535, 0.0650222499887673, 0.005081306281875766, 0.00013249473800432164,
    -3.960228278775368e-6,
  ],
] as const
const middle = [
  [
    -0.0023621185607526594, 0.41485611868374833, -0.3722078760357013, 0.31834661990116175,
    -0.11089469428239668, 0.035478304325618236, -0.002166375594868791,
  ],
  [
    1, 0.10642088040084423, 0.540397917702171, 0.07182865441419627, 0.12617121980876164, 0.01363708391202905,
    0.011984499846799107,
  ],
] as const
const far = [
  [
    -0.009864944034847148, -0.6938585727071818, -10.558626225323291, -62.375332450326006, -162.39666946257347,
    -184.60509290671104, -81.2874355063066, -9.814329344169145,
  ],
  [
    1, 19.651271667439257, 137.65775414351904, 434.56587747522923, 645.3872717332679, 429.00814002756783,
    108.63500554177944, 6.570249770319282, -0.0604244152148581,
  ],
] as const
const farthest = [
  [
    -0.0098649429247001, -0.799283237680523, -17.757954917754752, -160.63638485582192, -637.5664433683896,
    -1025.0951316110772, -483.5191916086514,
  ],
  [
    1, 30.33806074348246, 325.7925129965739, 1536.729586084437, 3199.8582195085955, 2553.0504064331644,
    474.52854120695537, -22.44095244658582,
  ],
] as const
const erx = 0.8450629115104675

function horner(c: readonly number[], x: number): number {
  let sum = 0
  for (let i = c.length - 1; i >= 0; i--) sum = sum * x + (c[i] as number)
  return sum
}

const ratio = (c: readonly [readonly number[], readonly number[]], x: number) =>
  horner(c[0], x) / horner(c[1], x)

/** The error function in float64. */
export function erf(x: number): number {
  const a = Math.abs(x)
  const sign = x < 0 ? -1 : 1
  if (Number.isNaN(x)) return x
  if (a < 0.84375) return x + x * ratio(near, x * x)
  if (a < 1.25) return sign * (erx + ratio(middle, a - 1))
  if (a >= 6) return sign
  const r = ratio(a < 1 / 0.35 ? far : farthest, 1 / (a * a))
  // exp(-a²) in two factors, so that rounding a² costs nothing: z is a to single precision.
  const z = Math.fround(a)
  return sign * (1 - (Math.exp(-z * z - 0.5625) * Math.exp((z - a) * (z + a) + r)) / a)
}

/** x Phi(x) */
export const gelu = (x: number) => 0.5 * x * (1 + erf(x * Math.SQRT1_2))

/** d gelu / dx = Phi(x) + x phi(x) */
export const geluSlope = (x: number) =>
  0.5 * (1 + erf(x * Math.SQRT1_2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI)
