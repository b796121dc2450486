// SPDX-License-Identifier: Apache-2.0
#include "tools/acpi/topology_json.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

#include "tools/acpi/numbers.h"

namespace weir::tools::acpi {
namespace {

using Json = nlohmann::ordered_json;

struct Wrong {
  std::string what;
};

// One object's fields, each asked for once. Throws Wrong inside this file, which
// topology_from_json turns into a value.
class Object {
 public:
  Object(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw Wrong{where_ + "is no object"};
  }
  void finish() const {
    for (const auto& [name, value] : json_.items())
      if (!known_.contains(name)) throw Wrong{where_ + name + ": is no field"};
  }

  [[nodiscard]] const Json* find(const char* name) {
    known_.insert(name);
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  [[noreturn]] void fail(const char* name, const std::string& cause) const {
    throw Wrong{where_ + name + ": " + cause};
  }

  [[nodiscard]] std::optional<std::string> text(const char* name) {
    const Json* const json = find(name);
    if (json == nullptr) return std::nullopt;
    if (!json->is_string()) fail(name, "is no text");
    return json->get<std::string>();
  }
  template <typename T>
  [[nodiscard]] std::optional<T> number(const char* name) {
    const Json* const json = find(name);
    if (json == nullptr) return std::nullopt;
    std::optional<std::uint64_t> value;
    if (json->is_number_unsigned()) value = json->get<std::uint64_t>();
    if (json->is_string()) value = number_of(json->get_ref<const std::string&>());
    if (!value || *value > std::numeric_limits<T>::max()) fail(name, "is no such number");
    return static_cast<T>(*value);
  }
  template <typename T>
  void take(const char* name, T& into) {
    if constexpr (std::is_same_v<T, bool>) {
      const Json* const json = find(name);
      if (json == nullptr) return;
      if (!json->is_boolean()) fail(name, "is neither true nor false");
      into = json->get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      into = text(name).value_or(into);
    } else {
      into = number<T>(name).value_or(into);
    }
  }
  template <typename T>
  [[nodiscard]] T need(const char* name) {
    auto value = number<T>(name);
    if (!value) fail(name, "is missing");
    return *value;
  }
  // Each element of a list, which may be left out.
  template <typename F>
  void each(const char* name, const F& f) {
    const Json* const json = find(name);
    if (json == nullptr) return;
    if (!json->is_array()) fail(name, "is no list");
    for (std::size_t i = 0; i < json->size(); ++i)
      f((*json)[i], where_ + name + "[" + std::to_string(i) + "].");
  }

 private:
  const Json& json_;
  std::string where_;
  std::set<std::string> known_;
};

constexpr std::array<const char*, 8> kKinds = {
    "integrated",    "endpoint",        "conventional",       "root_port",
    "upstream_port", "downstream_port", "pcie_to_pci_bridge", "pci_bridge"};

class Reader {
 public:
  explicit Reader(const Json& json) : top_(json, "") {}

  [[nodiscard]] Topology run() {
    top_.each("roots", [this](const Json& j, const std::string& at) { root(Object(j, at)); });
    // Units may be functions, and functions wish units: names first.
    std::uint32_t units = 0, windows = 0;
    top_.each("units", [&](const Json& j, const std::string& at) {
      Object o(j, at);
      call(o, units_, o.text("name").value_or(""), units++);
    });
    top_.each("windows", [&](const Json& j, const std::string& at) {
      Object o(j, at);
      call(o, windows_, o.text("name").value_or(""), windows++);
    });
    top_.each("functions",
              [this](const Json& j, const std::string& at) { function(Object(j, at)); });
    top_.each("units", [this](const Json& j, const std::string& at) { unit(Object(j, at)); });
    top_.each("windows", [this](const Json& j, const std::string& at) { window(Object(j, at)); });
    top_.each("interrupt_sources",
              [this](const Json& j, const std::string& at) { source(Object(j, at)); });
    top_.each("named_devices",
              [this](const Json& j, const std::string& at) { device(Object(j, at)); });
    top_.each("reserved", [this](const Json& j, const std::string& at) { region(Object(j, at)); });
    if (const auto good = topology_.check(); !good) throw Wrong{good.error()};
    return std::move(topology_);
  }

 private:
  using Names = std::map<std::string, std::uint32_t>;

  void root(Object o) {
    RootBus root;
    o.take("name", root.name);
    o.take("segment", root.segment);
    o.take("bus", root.bus);
    o.take("last_bus", root.last_bus);
    o.finish();
    const std::string name = root.name;
    call(o, roots_, name, topology_.add(std::move(root)));
  }

  // Others refer to it by this name; what has none nobody can mean.
  static void call(const Object& o, Names& names, const std::string& name, std::uint32_t index) {
    if (!name.empty() && !names.emplace(name, index).second)
      o.fail("name", "is another's too: " + name);
  }

  [[nodiscard]] static std::uint32_t look_up(const Object& o, const char* field, const Names& names,
                                             const std::string& name) {
    const auto found = names.find(name);
    if (found == names.end()) o.fail(field, "names nothing: " + name);
    return found->second;
  }

  [[nodiscard]] Wish wish(Object& o) const {
    const Json* const json = o.find("wish");
    if (json == nullptr || *json == "bypass") return Wish::bypass();
    if (json->is_object() && json->size() == 1) {
      const auto only = json->begin();
      const std::string& kind = only.key();
      const Json& name = only.value();
      if (name.is_string() && kind == "unit")
        return Wish::unit(look_up(o, "wish", units_, name.get<std::string>()));
      if (name.is_string() && kind == "window")
        return Wish::window(look_up(o, "wish", windows_, name.get<std::string>()));
    }
    o.fail("wish", R"(is none of "bypass", {"unit": name}, {"window": name})");
  }

  // "04.0", or with ARI the function alone.
  [[nodiscard]] static std::uint8_t devfn(Object& o, bool ari) {
    if (ari) return o.need<std::uint8_t>("at");
    const auto step = step_of(o.text("at").value_or(""));
    if (!step || step->device > 31 || step->function > 7)
      o.fail("at", "is not device and function, as 04.0");
    return static_cast<std::uint8_t>(step->device << 3 | step->function);
  }

  void function(Object o) {
    Function f;
    o.take("name", f.name);
    if (const auto kind = o.text("kind")) {
      const auto found = std::find(kKinds.begin(), kKinds.end(), *kind);
      if (found == kKinds.end()) o.fail("kind", "is no kind of function");
      f.kind = static_cast<FunctionKind>(found - kKinds.begin());
    }
    const auto on = o.text("on");
    if (const auto bridge = functions_.find(on.value_or("")); bridge != functions_.end()) {
      f.bridge = FunctionId{bridge->second};
    } else if (on) {
      f.root = look_up(o, "on", roots_, *on);
    }  // else on the first
    o.take("ari", f.ari);
    f.devfn = devfn(o, f.ari);
    o.take("present", f.present);
    f.wish = wish(o);
    o.take("secondary", f.secondary);
    o.take("subordinate", f.subordinate);
    o.take("isolates", f.isolates);
    o.take("phantom_bits", f.phantom_bits);
    f.alias = o.number<std::uint16_t>("alias");
    if (const auto physical = o.text("physical"))
      f.physical = FunctionId{look_up(o, "physical", functions_, *physical)};
    o.take("ats", f.ats);
    o.take("system_on_chip", f.system_on_chip);
    o.take("integrated_properties", f.integrated_properties);
    o.each("bars", [&f](const Json& j, const std::string& at) {
      Object b(j, at);
      Bar bar;
      b.take("index", bar.index);
      b.take("base", bar.base);
      b.take("bytes", bar.bytes);
      b.take("decoded", bar.decoded);
      b.finish();
      f.bars.push_back(bar);
    });
    o.finish();
    const std::string name = f.name;
    const FunctionId id = topology_.add(std::move(f));
    if (roots_.contains(name)) o.fail("name", "is a root bus's: " + name);
    call(o, functions_, name, id.value);
  }

  void unit(Object o) {
    UnitPlace u;
    o.take("name", u.name);
    u.register_base = o.need<std::uint64_t>("base");
    o.take("segment", u.segment);
    o.take("takes_rest", u.takes_rest);
    if (const auto name = o.text("function"))
      u.function = FunctionId{look_up(o, "function", functions_, *name)};
    u.proximity = o.number<std::uint32_t>("proximity");
    o.finish();
    topology_.add(std::move(u));
  }

  void window(Object o) {
    WindowPlace w;
    o.take("name", w.name);
    o.take("first", w.first);
    o.take("base", w.base);
    o.take("bytes", w.bytes);
    o.take("read", w.read);
    o.take("write", w.write);
    if (const auto name = o.text("bar_of"))
      w.bar = WindowPlace::InBar{.function = FunctionId{look_up(o, "bar_of", functions_, *name)},
                                 .index = o.need<std::uint8_t>("bar")};
    o.finish();
    topology_.add(std::move(w));
  }

  [[nodiscard]] static Requester number(Object& o) {
    Requester as;
    o.take("segment", as.segment);
    as.bdf = o.need<std::uint16_t>("as");
    return as;
  }

  void source(Object o) {
    InterruptSource s;
    const std::string kind = o.text("kind").value_or("io_apic");
    if (kind != "io_apic" && kind != "hpet") o.fail("kind", "is neither io_apic nor hpet");
    if (kind == "hpet") s.kind = InterruptSource::Kind::kHpet;
    o.take("id", s.id);
    s.as = number(o);
    if (const auto name = o.text("unit")) s.unit = look_up(o, "unit", units_, *name);
    o.finish();
    topology_.add(s);
  }

  void device(Object o) {
    NamedDevice d;
    o.take("path", d.path);
    o.take("hid", d.hid);
    o.take("uid", d.uid);
    d.as = number(o);
    d.mmio = o.number<std::uint64_t>("mmio");
    d.wish = wish(o);
    o.finish();
    topology_.add(std::move(d));
  }

  void region(Object o) {
    ReservedRegion r;
    o.take("segment", r.segment);
    r.first = o.need<std::uint64_t>("first");
    r.last = o.need<std::uint64_t>("last");
    o.take("read", r.read);
    o.take("write", r.write);
    o.take("exclusion", r.exclusion);
    o.each("functions", [&](const Json& j, const std::string& at) {
      if (!j.is_string()) throw Wrong{at + ": is no name"};
      r.functions.push_back({look_up(o, "functions", functions_, j.get<std::string>())});
    });
    o.finish();
    topology_.add(std::move(r));
  }

  Object top_;
  Topology topology_;
  Names roots_, units_, windows_, functions_;
};

}  // namespace

Result<Topology, std::string> topology_from_json(const Json& json) {
  try {
    return Reader(json).run();
  } catch (const Wrong& wrong) {
    return Failure{wrong.what};
  }
}

}  // namespace weir::tools::acpi
