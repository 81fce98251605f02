--- Run by .ci/asan only: commits the fault that the environment names.
describe("a deliberate fault", function()
  it("is seen by the sanitizers", function()
    require("dop.fault")[os.getenv("FAULT")](16)
  end)
end)
