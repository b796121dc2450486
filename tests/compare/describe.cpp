// SPDX-License-Identifier: Apache-2.0
#include "tests/compare/describe.h"

#include <sstream>

namespace weir::compare {
namespace {

using model::Format;

// Tells every word that is read through it.
class TellingImage : public model::Image {
 public:
  TellingImage(const model::Image& image, std::ostream& out) : image_(image), out_(out) {}

  std::optional<std::uint64_t> load(std::uint64_t address) const override {
    const auto word = image_.load(address);
    out_ << "  0x" << address << ": ";
    if (word)
      out_ << "0x" << *word << (image_.writable(address) ? "" : " (read-only)") << '\n';
    else
      out_ << "no memory\n";
    return word;
  }
  bool writable(std::uint64_t address) const override { return image_.writable(address); }

 private:
  const model::Image& image_;
  std::ostream& out_;
};

void tell(std::ostream& out, const model::VtdSecondStage& t) {
  out << "VT-d second stage, " << t.levels << " levels, HAW " << t.host_width << ", 2 MiB "
      << t.pages_2m << ", 1 GiB " << t.pages_1g << ", SC " << t.snoop_control << ", TM "
      << t.transient_leaf << ", SSADE " << t.accessed_dirty;
}
void tell(std::ostream& out, const model::X86FirstStage& t) {
  out << (t.vendor == model::X86FirstStage::Vendor::kVtd ? "VT-d first stage, " : "AMD-Vi v2, ")
      << t.levels << " levels, HAW " << t.host_width << ", 1 GiB " << t.pages_1g
      << ", sign-extended " << t.sign_extended << ", NX " << t.no_execute << ", WPE "
      << t.write_protect << ", EAFE " << t.extended_accessed << ", A " << t.set_accessed << ", D "
      << t.set_dirty;
}
void tell(std::ostream& out, const model::AmdV1& t) {
  out << "AMD-Vi v1, Mode " << t.mode << ", PMC " << t.memory_class << ", A " << t.set_accessed
      << ", D " << t.set_dirty;
}
void tell(std::ostream& out, const char* which, const Format& format) {
  out << which << std::dec;
  std::visit([&](const auto& t) { tell(out, t); }, format);
  out << ", root 0x" << std::hex << model::root_of(format) << '\n';
}

}  // namespace

std::string describe(const model::World& world, const model::Ask& ask) {
  std::ostringstream out;
  tell(out, "", world.upper);
  if (world.lower) tell(out, "over ", *world.lower);
  out << "asked: 0x" << ask.input << (ask.read ? " read" : "") << (ask.write ? " write" : "")
      << (ask.execute ? " execute" : "") << (ask.privileged ? ", privileged" : "") << '\n'
      << "entries read:\n";
  const TellingImage image(world.image, out);
  if (world.lower)
    (void)model::translate_nested(world.upper, *world.lower, ask, image);
  else
    (void)model::translate(world.upper, ask, image, Stage::kStage1);
  return out.str();
}

}  // namespace weir::compare
