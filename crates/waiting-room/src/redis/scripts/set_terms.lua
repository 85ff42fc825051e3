if not load_queue() then
  return {}
end
advance()
set_terms(ARG)
return save_and_reply({})
