#pragma once
#include "rank-group.h"

namespace dino {

/** Runs a step that needs the operands of all ranks; faults where a rank has stopped or is at another step. */
void run_collective(Kind kind, const Call& call, RankGroup& group, int rank);

/** What a step exchanges, in bytes: an all_gather its results, a reduce_scatter its operands, an all_reduce its results twice. */
int64_t payload_bytes(Kind kind, const Call& call);

}  // namespace dino
