#pragma once
#include "../tensor.h"

namespace dino {
namespace DINO_ISA {

/** As `attention` and `attention_grad`, of bf16 operands. */
void attention_bf16(const Call& call);
void attention_grad_bf16(const Call& call);

}  // namespace DINO_ISA
}  // namespace dino
