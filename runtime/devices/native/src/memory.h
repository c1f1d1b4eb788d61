#pragma once
#include <cstddef>
#include <vector>

namespace dino {

/** Zeroed memory, aligned to 256 bytes (large blocks to 2 MiB, in huge pages where the system has them). */
class Block {
 public:
  Block() = default;
  /** Null `data` where there is not enough memory. */
  explicit Block(size_t bytes);
  ~Block();
  Block(Block&& other) noexcept;
  Block& operator=(Block&& other) noexcept;

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
  void* base_ = nullptr;
  size_t mapped_ = 0;
};

/** Scratch memory of one step after another: grows to the largest need and is then never allocated again. */
class Workspace {
 public:
  void* take(size_t bytes);
  size_t mark() const { return used_; }
  void release(size_t mark);
  /** Everything taken is free again. */
  void reset();

 private:
  struct Piece {
    Block block;
    size_t start;  // in the numbering of `used_`
  };
  std::vector<Piece> pieces_;
  size_t used_ = 0;
};

}  // namespace dino
