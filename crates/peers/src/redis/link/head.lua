-- A reply: each value after its name.
local function reply(values)
  local named, count = {}, 0
  for name, value in pairs(values) do
    named[count + 1], named[count + 2] = name, value
    count = count + 2
  end
  return named
end
