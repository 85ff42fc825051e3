-- ARGV: terms.
if not find() then
  return {}
end
settle()
set_terms(tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]))
return answer({ 'set' })
