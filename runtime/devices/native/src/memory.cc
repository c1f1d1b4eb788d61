#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "tensor.h"

// Sanitizers see the ends of blocks from malloc only.
#if (defined(__unix__) || defined(__APPLE__)) && !defined(DINO_SANITIZED)
#include <sys/mman.h>
#define DINO_MMAP 1
#endif

namespace dino {
namespace {

constexpr size_t alignment = 256;
constexpr size_t huge = size_t{2} << 20;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

Block::Block(size_t bytes) : bytes_(bytes) {
  const size_t wanted = bytes > 0 ? bytes : 1;
#if defined(DINO_MMAP)
  const bool large = bytes >= 2 * huge;
  const size_t align = large ? huge : alignment;
  const size_t total = round_up(wanted, alignment) + align;
  void* base = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return;
  base_ = base;
  mapped_ = total;
  data_ = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(base), align));
#if defined(MADV_HUGEPAGE)
  if (large) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
#else
  if (posix_memalign(&base_, alignment, wanted) != 0) {
    base_ = nullptr;
    return;
  }
  data_ = static_cast<char*>(base_);
  std::memset(data_, 0, bytes);
#endif
}

Block::~Block() {
  if (!base_) return;
#if defined(DINO_MMAP)
  munmap(base_, mapped_);
#else
  std::free(base_);
#endif
}

Block::Block(Block&& other) noexcept
    : data_(other.data_), bytes_(other.bytes_), base_(other.base_), mapped_(other.mapped_) {
  other.data_ = nullptr;
  other.base_ = nullptr;
  other.bytes_ = other.mapped_ = 0;
}

Block& Block::operator=(Block&& other) noexcept {
  if (this != &other) {
    this->~Block();
    new (this) Block(static_cast<Block&&>(other));
  }
  return *this;
}

void* Workspace::take(size_t bytes) {
  const size_t size = round_up(bytes > 0 ? bytes : 1, alignment);
  for (Piece& piece : pieces_) {
    const size_t at = used_ > piece.start ? used_ : piece.start;
    if (at + size > piece.start + piece.block.bytes()) continue;
    used_ = at + size;
    return piece.block.data() + (at - piece.start);
  }
  const size_t start = pieces_.empty() ? 0 : pieces_.back().start + pieces_.back().block.bytes();
  constexpr size_t least = size_t{1} << 20;
  Block block(size > least ? size : least);
  if (!block.data()) throw std::bad_alloc();
  pieces_.push_back(Piece{static_cast<Block&&>(block), start});
  used_ = start + size;
  return pieces_.back().block.data();
}

void Workspace::release(size_t mark) { used_ = mark; }

void Workspace::reset() {
  used_ = 0;
  if (pieces_.size() < 2) return;
  const size_t total = pieces_.back().start + pieces_.back().block.bytes();
  pieces_.clear();
  Block block(total);
  if (block.data()) pieces_.push_back(Piece{static_cast<Block&&>(block), 0});
}

void* workspace_take(Workspace& workspace, size_t bytes) { return workspace.take(bytes); }
size_t workspace_mark(const Workspace& workspace) { return workspace.mark(); }
void workspace_release(Workspace& workspace, size_t mark) { workspace.release(mark); }

}  // namespace dino
